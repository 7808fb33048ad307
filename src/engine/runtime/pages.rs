//! What the status pages show of the running engines, and where they are served.

use super::Runtime;
use super::apply::host_name;
use crate::clock;
use crate::config::Settings;
use crate::limits;
use crate::metrics::{Object, ProcessUsage, Snapshot};
use crate::pages::{self, Page, Status};
use smol::LocalExecutor;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

/// How the status pages are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listen {
    address: SocketAddr,
    documents: bool,
    hosts: Vec<String>,
}

impl Listen {
    /// None if there are no pages.
    fn of(settings: &Settings) -> Option<Self> {
        let mut hosts = settings.listen_hosts.clone();
        hosts.push(host_name());
        Some(Self { address: settings.listen?, documents: settings.listen_documents, hosts })
    }
}

/// The copy of a document that is shown; empty if the document is too long.
pub(super) fn shown(document: &[u8]) -> Vec<u8> {
    if document.len() > limits::PAGE_DOCUMENT_BYTES_MAX { Vec::new() } else { document.to_vec() }
}

impl Runtime {
    /// Starts, moves or ends the status pages. A process that ends by itself has none.
    pub(super) fn apply_pages(self: &Rc<Self>, settings: &Settings, executor: &LocalExecutor<'_>) {
        let listen = Listen::of(settings).filter(|_| self.polls_max.is_none());
        let mut pages = self.pages.borrow_mut();
        if pages.as_ref().map(|(listen, _)| listen) != listen.as_ref() {
            let runtime = Rc::downgrade(self);
            let render = move |page: &Page, out: &mut Vec<u8>| {
                runtime.upgrade().map_or(Status::NotFound, |runtime| runtime.render(page, out))
            };
            let before = pages.take();
            let serve = |Listen { address, hosts, .. }| async move {
                // The new address may have the same port, so the old listener ends first.
                if let Some((_, before)) = before {
                    before.cancel().await;
                }
                pages::serve(address, hosts, render).await;
            };
            *pages = listen.map(|listen| (listen.clone(), executor.spawn(serve(listen))));
        }
    }

    /// Writes a status page, or the payload of the reader `self`.
    pub(super) fn render(&self, page: &Page, out: &mut Vec<u8>) -> Status {
        match page {
            Page::Status => self.write_status(out),
            Page::Document(reader) => return self.write_document(reader, out),
            Page::Metrics(piece) => self.write_metrics(*piece, out),
            Page::Ready => return self.write_ready(out),
            Page::Vars => self.snapshot(&self.engines.borrow(), &self.recorders.borrow()).render(out),
        }
        Status::Ok
    }

    /// All counters.
    fn snapshot<'a>(&'a self, engines: &'a [Rc<super::Engine>], recorders: &'a [super::Shipping]) -> Snapshot<'a> {
        Snapshot {
            metrics: &self.metrics,
            usage: ProcessUsage::now(self.elapsed()),
            readers: engines.iter().map(|engine| (engine.reading.name(), &engine.reading.counts)).collect(),
            recorders: recorders.iter().map(|one| (one.recording.name(), one.recording.ledger())).collect(),
        }
    }

    fn shows_documents(&self) -> bool {
        self.pages.borrow().as_ref().is_some_and(|(listen, _)| listen.documents)
    }

    /// How each reader and each recorder is doing.
    fn write_status(&self, out: &mut Vec<u8>) {
        let (now, elapsed) = (clock::now(), self.elapsed());
        self.forget_unwatched(elapsed);
        let usage = ProcessUsage::now(elapsed);
        let mut object = Object::new(out);
        object.text("version", env!("CARGO_PKG_VERSION"));
        object.text("host", &host_name());
        object.seconds("uptime_seconds", usage.uptime);
        object.seconds("cpu_seconds", usage.cpu);
        object.number("resident_bytes", usage.resident_bytes);
        object.flag("documents", self.shows_documents());
        let (engines, recorders) = (self.engines.borrow(), self.recorders.borrow());
        let (mut engines, mut recorders) = (engines.iter(), recorders.iter());
        object.list("readers", &mut |out| {
            let Some(engine) = engines.next() else { return false };
            let recordings = engine.recordings.borrow();
            engine.reading.status(now, elapsed).write(&mut recordings.iter().map(|recording| recording.name()), out);
            true
        });
        object.list("recorders", &mut |out| {
            let recorder = recorders.next();
            recorder.map(|one| one.recording.status(now, elapsed).write(out)).is_some()
        });
        object.end();
    }

    /// The last document of a reader, which is kept from now on.
    fn write_document(&self, reader: &str, out: &mut Vec<u8>) -> Status {
        let elapsed = self.elapsed();
        self.forget_unwatched(elapsed);
        let mut object = Object::new(out);
        object.text("reader", reader);
        let engines = self.engines.borrow();
        let found = engines.iter().find(|engine| engine.reading.name() == reader);
        let status = match found {
            _ if !self.shows_documents() => {
                object.text("error", "documents are not shown: settings.listen has documents: false");
                Status::Forbidden
            }
            None => {
                object.text("error", "there is no reader of this name");
                Status::NotFound
            }
            Some(engine) => {
                self.watch(engine, elapsed);
                engine.reading.watch.write(elapsed, &mut object);
                Status::Ok
            }
        };
        object.end();
        status
    }

    /// Keeps the documents of a reader, in place of those of the one that was asked for longest ago if there are too many.
    fn watch(&self, engine: &super::Engine, elapsed: Duration) {
        self.is_watched.set(true);
        engine.reading.watch.ask(elapsed);
        let engines = self.engines.borrow();
        let kept = engines.iter().filter_map(|engine| Some((engine.reading.watch.asked()?, &engine.reading.watch)));
        if kept.clone().count() > limits::PAGE_DOCUMENTS_MAX
            && let Some((_, oldest)) = kept.min_by_key(|(asked, _)| *asked)
        {
            oldest.forget();
        }
    }

    /// Forgets the documents that nobody has asked for lately.
    pub(super) fn forget_unwatched(&self, elapsed: Duration) {
        if !self.is_watched.get() {
            return;
        }
        let mut is_watched = false;
        for engine in &*self.engines.borrow() {
            if engine.reading.watch.is_on(elapsed) {
                is_watched = true;
            } else {
                engine.reading.watch.forget();
            }
        }
        self.is_watched.set(is_watched);
    }
}
