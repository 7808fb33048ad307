//! Polls a reader once, as a run would, and tells what came.

use crate::clock;
use crate::config::{LogLevel, Reader};
use crate::document_buffers::DocumentBuffers;
use crate::finding::Finding;
use crate::flatten::{Mended, Report};
use crate::http::{Content, Http, HttpError, NewBuffers};
use crate::log::{self, ComponentLevel};
use crate::plural::{counted, grouped};
use crate::reader::{ReadError, Reading};
use std::cell::RefCell;
use std::fmt::Write;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

const CHECK: &str = "poll";

pub(super) async fn try_reader(reader: Arc<Reader>, http: Http, buffers: Rc<RefCell<DocumentBuffers>>) -> Vec<Finding> {
    let host_name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let level = ComponentLevel::of_settings(LogLevel::Error);
    let timeout = reader.timeout;
    let reading = Reading::new(reader, &level, &host_name, Duration::ZERO, Some(1));
    let Some(endpoint) = reading.endpoint() else {
        return vec![Finding::good(CHECK, "the counters of expvastic itself")];
    };
    let (mut body, started) = (Vec::new(), clock::now());
    let polled = reading.poll(&http, &NewBuffers(0), &mut body).await;
    let milliseconds = log::milliseconds(clock::now() - started);
    let content = match polled {
        Ok(content) => content,
        Err(error) => return vec![refused(ReadError::Http(error))],
    };
    let body_bytes = body.len();
    let made = {
        let mut buffers = buffers.borrow_mut();
        let (variables, own_members) = (&mut reading.variables.borrow_mut(), reading.own_members());
        let made = buffers.document(variables, &own_members, clock::timestamp(), Duration::ZERO, &mut body);
        made.map(|(_, document, report)| (document.len(), report))
    };
    let mut finding = match made {
        Ok((document_bytes, report)) => {
            let sizes = [milliseconds, body_bytes as u64, document_bytes as u64];
            document_made(&content, sizes, &report, &reading.remarks(&report))
        }
        Err(error) => refused(reading.refused(error, &content, &body)),
    };
    buffers.borrow_mut().recycle(body);
    finding.add_reachability(&http.reachability(endpoint, timeout).await, clock::timestamp());
    vec![finding]
}

fn document_made(
    content: &Content,
    [milliseconds, body_bytes, document_bytes]: [u64; 3],
    report: &Report,
    remarks: &[String],
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
    let left_out = report.broken + report.out_of_range + report.names.over_limit + report.beyond_columns;
    // The last kind is that of names beyond `max_fields`, which are left out.
    let kinds = Mended::KINDS.iter().zip(report.names.counts()).take(Mended::KINDS.len() - 1);
    let changed = kinds.clone().map(|(_, count)| count).sum();
    if changed > 0 {
        let kinds = kinds.filter(|(_, count)| *count > 0).map(|(kind, count)| format!("{count} {kind}"));
        let kinds = kinds.collect::<Vec<_>>().join(", ");
        let _ = write!(text, ", {} changed ({kinds})", counted(changed, "name"));
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
    let advice = match &mut error {
        ReadError::Http(HttpError::Status(refused)) => refused.advice.take(),
        ReadError::Foreign { remedy, .. } => remedy.take(),
        _ => None,
    };
    let fix = advice.unwrap_or_else(|| "is the application running? Check endpoint".to_owned());
    Finding::bad(CHECK, error.to_string()).fix(fix, "endpoint")
}
