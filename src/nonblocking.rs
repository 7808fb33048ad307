//! Calls to the system that never wait.

use std::io::{self, ErrorKind};

/// Makes a call on a descriptor that never waits, again for as long as signals interrupt it. None if it would have had to
/// wait.
///
/// # Errors
/// Any other error of the call.
pub(crate) fn attempt<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<Option<T>> {
    loop {
        return match call() {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interrupted_call_is_made_again_and_one_that_would_wait_gives_nothing() {
        let mut answers = [Ok(7), Err(ErrorKind::Interrupted), Err(ErrorKind::Interrupted)].to_vec();
        assert_eq!(attempt(|| answers.pop().unwrap().map_err(io::Error::from)).unwrap(), Some(7));
        assert!(answers.is_empty());
        assert_eq!(attempt(|| Err::<u8, _>(ErrorKind::WouldBlock.into())).unwrap(), None);
        let error = attempt(|| Err::<u8, _>(ErrorKind::BrokenPipe.into())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    }
}
