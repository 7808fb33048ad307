//! Polls a reader once, as a run would, and tells what came.

use crate::clock;
use crate::config::{LogLevel, Reader, Source};
use crate::document_buffers::DocumentBuffers;
use crate::finding::Finding;
use crate::flatten::{Cause, FlattenError, Report};
use crate::http::{Content, Endpoint, Http, HttpError, redirected_advice};
use crate::log::{self, ComponentLevel};
use crate::plural::{counted, grouped};
use crate::reader::{ReadError, Reading};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

const CHECK: &str = "poll";

pub(super) async fn try_reader(reader: Arc<Reader>, http: Http, buffers: Rc<RefCell<DocumentBuffers>>) -> Vec<Finding> {
    let Source::Targets(targets) = &reader.source else { return poll(reader, &http, &buffers).await };
    let Some(url) = targets.named_url() else {
        return vec![Finding::good(CHECK, "no targets yet").fix("add some to the file", "targets_file")];
    };
    let endpoint = Endpoint::with_identity(url, Rc::default());
    let addresses = match http.addresses(&endpoint, reader.timeout).await {
        Ok(addresses) => addresses,
        Err(error) => return vec![refused(ReadError::Http(error))],
    };
    let mut findings = Vec::new();
    for target in targets.at_addresses(&reader, &[], &addresses) {
        let name = target.name().to_owned();
        let of_target = poll(target, &http, &buffers).await.into_iter();
        findings.extend(of_target.map(|finding| Finding { text: format!("{name}: {}", finding.text), ..finding }));
    }
    findings
}

async fn poll(reader: Arc<Reader>, http: &Http, buffers: &RefCell<DocumentBuffers>) -> Vec<Finding> {
    let host_name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let level = ComponentLevel::of_settings(LogLevel::Error);
    let timeout = reader.timeout;
    let reading = Reading::new(reader, &level, &host_name, Duration::ZERO, Some(1));
    let Some(endpoint) = reading.endpoint() else {
        return vec![Finding::good(CHECK, "the counters of expvastic itself")];
    };
    reading.variables.borrow_mut().want_changed();
    let (started, mut sizes, mut report) = (clock::now(), [0; 3], Report::default());
    let mut make = |body: &mut Vec<u8>| -> Result<(), FlattenError> {
        let milliseconds = log::milliseconds(clock::now() - started);
        let (mut buffers, mut variables) = (buffers.borrow_mut(), reading.variables.borrow_mut());
        let (_, document, made) =
            buffers.document(&mut variables, &reading.own_members(), clock::timestamp(), Duration::ZERO, body)?;
        sizes = [milliseconds, body.len() as u64, document.len() as u64];
        report = made;
        Ok(())
    };
    let mut finding = match reading.poll_once(http, Vec::new(), &mut make).await {
        Ok(content) => document_made(&content, sizes, &report, &reading),
        Err(error @ ReadError::Http(_)) => return vec![refused(error)],
        Err(error) => refused(error),
    };
    finding.add_reachability(&http.reachability(endpoint, timeout).await, clock::timestamp());
    vec![finding]
}

fn document_made(
    content: &Content,
    [milliseconds, body_bytes, document_bytes]: [u64; 3],
    report: &Report,
    reading: &Reading,
) -> Finding {
    let Report { numbers, strings, booleans, lists, .. } = *report;
    let variables = numbers + strings + booleans + lists;
    let mut text = format!(
        "{} in {milliseconds} ms, {} bytes, {}, document {} bytes",
        content.status,
        grouped(body_bytes),
        counted(variables, "variable"),
        grouped(document_bytes)
    );
    text += &reading.changes(report);
    let left_out = report.left_out();
    let changed = report.names.counts().iter().sum::<u64>() - report.names.over_limit;
    let mut remarks = reading.remarks(report);
    if let Some(target) = content.redirected_to.as_deref() {
        remarks.push(redirected_advice(target, content.status));
    }
    let figures = vec![
        ("status", content.status.into()),
        ("ms", milliseconds),
        ("bytes", body_bytes),
        ("variables", variables),
        ("document_bytes", document_bytes),
        ("changed_names", changed),
        ("left_out", left_out),
    ];
    Finding { figures, ..Finding::good(CHECK, text).fix(remarks.join("; "), "endpoint") }
}

fn refused(mut error: ReadError) -> Finding {
    let (fix, key) = match &mut error {
        ReadError::Http(error) => {
            let (fix, key) = error.remedy("application");
            let advice = if let HttpError::Status(refused) = error { refused.advice.take() } else { None };
            (advice.unwrap_or(fix), key)
        }
        ReadError::Foreign { remedy, .. } => {
            (remedy.take().unwrap_or_else(|| "check endpoint, and what it publishes".to_owned()), "endpoint")
        }
        ReadError::Payload { error, .. } if error.cause == Cause::AllLeftOut => (String::new(), "include"),
        ReadError::Payload { .. } => ("correct what the application publishes".to_owned(), "endpoint"),
    };
    Finding::bad(CHECK, error.to_string()).fix(fix, key)
}
