//! Signals as something to wait for.
//!
//! A handler may do next to nothing, so it sets a flag and writes a byte into a socket, which wakes the main thread
//! like any other socket.

use crate::descriptors;
use crate::event_loop::{self, Interest};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::{flag, low_level};
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// To end; the signal's name.
    Stop(&'static str),
    /// To load the configuration again.
    Reload,
    /// To ship at once what waits.
    Flush,
}

/// The signals that the program knows, from now on caught.
pub(crate) struct Signals {
    bytes: Rc<UnixStream>,
    /// The last one that asked it to end; 0 is none.
    stop: Arc<AtomicUsize>,
    reload: Arc<AtomicBool>,
    flush: Arc<AtomicBool>,
}

impl Signals {
    /// Catches SIGINT, SIGTERM, SIGHUP and SIGUSR1 for the rest of the process.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn catch() -> io::Result<Self> {
        let (bytes, handler) = UnixStream::pair()?;
        let bytes = UnixStream::from(descriptors::out_of_the_way(bytes.into()));
        bytes.set_nonblocking(true)?;
        let (stop, reload, flush) = (Arc::default(), Arc::default(), Arc::default());
        // The flags first: who hears the byte finds them set.
        for signal in [SIGINT, SIGTERM] {
            flag::register_usize(signal, Arc::clone(&stop), usize::try_from(signal).unwrap_or_default())?;
        }
        flag::register(SIGHUP, Arc::clone(&reload))?;
        flag::register(SIGUSR1, Arc::clone(&flush))?;
        for signal in [SIGINT, SIGTERM, SIGHUP, SIGUSR1] {
            low_level::pipe::register(signal, descriptors::out_of_the_way(handler.try_clone()?.into()))?;
        }
        Ok(Self { bytes: Rc::new(bytes), stop, reload, flush })
    }

    /// The number of a signal that asks for the end, until it is heard; 0 is none.
    pub(crate) fn unheard(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.stop)
    }

    /// Waits for the next one; of several, to end comes first.
    pub(crate) async fn next(&self) -> Signal {
        loop {
            match self.stop.swap(0, Ordering::SeqCst).try_into() {
                Ok(SIGINT) => return Signal::Stop("SIGINT"),
                Ok(SIGTERM) => return Signal::Stop("SIGTERM"),
                _ => {}
            }
            if self.reload.swap(false, Ordering::SeqCst) {
                return Signal::Reload;
            }
            if self.flush.swap(false, Ordering::SeqCst) {
                return Signal::Flush;
            }
            // Without a deadline it is never late.
            let _ = event_loop::ready(self.bytes.clone(), Interest::Read, None).await;
            let _ = (&*self.bytes).read(&mut [0; 64]);
        }
    }
}
