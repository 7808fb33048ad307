//! What signals do while the program runs.

use super::watch::Watched;
use crate::clock;
use crate::config::{Config, ConfigError};
use crate::engine::Order;
use crate::limits;
use crate::log::Log;
use crate::signals::{Signal, Signals};
use crate::systemd::Supervisor;
use smol::channel::{Receiver, Sender};
use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::time::Instant;

/// What SIGHUP and SIGUSR1 act on, in a run that does not end by itself.
pub(super) struct Control<'c> {
    pub(super) orders: Sender<Order>,
    /// Tells about ticks on which to look for changes of the files.
    pub(super) ticks: Receiver<()>,
    /// The files of the configuration.
    pub(super) watched: &'c RefCell<Watched>,
    pub(super) log: &'c Log,
    /// Is told that the configuration is being loaded, and whether it is refused.
    pub(super) supervisor: Option<&'c Supervisor>,
    /// Loads the configuration again; none if it is not from a file.
    pub(super) load: &'c dyn Fn() -> Option<Result<Config, ConfigError>>,
}

/// Completes at SIGINT or SIGTERM, and gives a future that completes at the next of them. Carries out the other signals
/// until then.
pub(super) async fn until_stopped(
    signals: io::Result<Signals>,
    control: Option<Control<'_>>,
) -> impl Future<Output = ()> {
    let signals = match signals {
        Ok(signals) => signals,
        Err(error) => {
            tracing::warn!(
                "cannot install signal handlers: {error}; SIGINT and SIGTERM will exit without shipping waiting \
                 documents"
            );
            return std::future::pending().await;
        }
    };
    loop {
        let event = match &control {
            Some(control) => smol::future::or(async { Some(signals.next().await) }, control.change()).await,
            None => Some(signals.next().await),
        };
        let Some(signal) = event else {
            if let Some(control) = &control {
                control.reload("the configuration has changed").await;
            }
            continue;
        };
        match (signal, &control) {
            (Signal::Stop(name), _) => {
                tracing::info!("{name} received (send it again after a second to exit without flushing)");
                return until_hurried(signals, clock::now() + limits::SAME_SIGNAL);
            }
            (Signal::Flush, Some(control)) => {
                tracing::info!("SIGUSR1 received: flushing");
                control.pass_on(Order::Flush).await;
            }
            (Signal::Reload, Some(control)) => {
                // What is said about these files now is not said again.
                control.watched.borrow_mut().look();
                control.reload("SIGHUP received").await;
            }
            (Signal::Flush | Signal::Reload, None) => {
                tracing::info!("ignoring SIGHUP or SIGUSR1: the only poll is already running");
            }
        }
    }
}

/// Completes at the first SIGINT or SIGTERM, with its name.
pub(super) async fn next_stop(signals: io::Result<Signals>) -> &'static str {
    let Ok(signals) = signals else { return std::future::pending().await };
    loop {
        if let Signal::Stop(name) = signals.next().await {
            return name;
        }
    }
}

/// Completes at SIGINT or SIGTERM. Until `same_until`, another signal counts as the same as the first one, because
/// supervisors, terminals and `timeout` send it both to the process and to its group.
async fn until_hurried(signals: Signals, same_until: Instant) {
    loop {
        match signals.next().await {
            Signal::Stop(name) if clock::now() < same_until => {
                tracing::debug!("{name} received within a second of the first: ignored");
            }
            Signal::Stop(name) => {
                tracing::warn!("{name} received again: exiting without flushing");
                return;
            }
            Signal::Flush | Signal::Reload => {
                tracing::info!("ignoring SIGHUP or SIGUSR1: already shutting down");
            }
        }
    }
}

impl Control<'_> {
    async fn pass_on(&self, order: Order) {
        // This fails only if the engines have ended, and then there is nothing to do.
        let _ = self.orders.send(order).await;
    }

    /// Completes at a tick on which the files have changed.
    async fn change(&self) -> Option<Signal> {
        loop {
            if self.ticks.recv().await.is_err() {
                return std::future::pending().await;
            }
            if self.watched.borrow_mut().look() {
                return None;
            }
        }
    }

    /// Loads the files again because of `cause`, and passes the configuration on if it is valid.
    async fn reload(&self, cause: &str) {
        const AS_BEFORE: &str = "keeping the current one";
        if let Some(supervisor) = self.supervisor {
            supervisor.reloading();
        }
        let loaded = (self.load)();
        match (&loaded, self.supervisor) {
            (None, Some(supervisor)) => supervisor.ready("there is no configuration file to reload"),
            (Some(Err(_)), Some(supervisor)) => supervisor.reload_refused(),
            _ => {}
        }
        match loaded {
            None => tracing::warn!("{cause}, no configuration file to reload: {AS_BEFORE}"),
            Some(Err(error)) => {
                tracing::error!("{cause}, invalid configuration: {AS_BEFORE}");
                for line in error.to_string().lines() {
                    tracing::error!("{line}");
                }
            }
            Some(Ok(config)) => {
                self.log.follow(config.logged());
                self.watched.borrow_mut().follow(&config);
                for warning in &config.warnings {
                    tracing::warn!("{warning}");
                }
                self.pass_on(Order::Reload(Box::new(config))).await;
            }
        }
    }
}
