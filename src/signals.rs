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
    /// To end the process. It holds the name of the signal.
    Stop(&'static str),
    /// To load the configuration again.
    Reload,
    /// To ship at once all documents that wait.
    Flush,
}

/// The signals that the program catches.
pub(crate) struct Signals {
    wake_ups: Rc<UnixStream>,
    /// The last one that asked it to end; 0 is none.
    stop: Arc<AtomicUsize>,
    reload: Arc<AtomicBool>,
    flush: Arc<AtomicBool>,
}

impl Signals {
    /// Catches SIGINT, SIGTERM, SIGHUP and SIGUSR1 for the rest of the process.
    ///
    /// # Errors
    /// Those of the system.
    pub(crate) fn catch() -> io::Result<Self> {
        let (wake_ups, handler) = UnixStream::pair()?;
        let wake_ups = UnixStream::from(descriptors::with_high_number(wake_ups.into()));
        wake_ups.set_nonblocking(true)?;
        let (stop, reload, flush) = (Arc::default(), Arc::default(), Arc::default());
        // Handlers run in this order: the flag is set before the byte wakes the thread.
        for signal in [SIGINT, SIGTERM] {
            flag::register_usize(signal, Arc::clone(&stop), usize::try_from(signal).unwrap_or_default())?;
        }
        flag::register(SIGHUP, Arc::clone(&reload))?;
        flag::register(SIGUSR1, Arc::clone(&flush))?;
        for signal in [SIGINT, SIGTERM, SIGHUP, SIGUSR1] {
            low_level::pipe::register(signal, descriptors::with_high_number(handler.try_clone()?.into()))?;
        }
        Ok(Self { wake_ups: Rc::new(wake_ups), stop, reload, flush })
    }

    /// The number of a signal that asks the process to end and that [`Signals::next`] has not returned yet; 0 is none.
    pub(crate) fn pending_stop(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.stop)
    }

    /// Waits for the next signal. Of several, one that asks the process to end comes first.
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
            // Without a deadline this cannot time out.
            let _ = event_loop::ready(self.wake_ups.clone(), Interest::Read, None).await;
            let _ = (&*self.wake_ups).read(&mut [0; 64]);
        }
    }
}
