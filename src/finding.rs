//! What `expvastic test` finds out: one line for each thing that it tries. Pure.

use crate::calendar::Timestamp;
use crate::http::Reachability;
use crate::limits;
use std::fmt::Write;

/// What was tried, and the result.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Finding {
    /// What was tried, for programs.
    pub(crate) check: &'static str,
    pub(crate) is_good: bool,
    pub(crate) text: String,
    /// What a person can do; empty if there is nothing to do.
    pub(crate) fix: String,
    /// The key of the configuration to look at, within the section of the reader or the recorder.
    pub(crate) key: &'static str,
    /// Figures, for programs.
    pub(crate) figures: Vec<(&'static str, u64)>,
}

impl Finding {
    pub(crate) fn good(check: &'static str, text: impl Into<String>) -> Self {
        Self { check, is_good: true, text: text.into(), ..Self::default() }
    }

    pub(crate) fn bad(check: &'static str, text: impl Into<String>) -> Self {
        Self { check, text: text.into(), ..Self::default() }
    }

    /// With what to do, and the key to look at.
    pub(crate) fn fix(self, fix: impl Into<String>, key: &'static str) -> Self {
        Self { fix: fix.into(), key, ..self }
    }

    /// Adds something else to do.
    fn advise(&mut self, advice: &str) {
        if !self.fix.is_empty() {
            self.fix.push_str("; ");
        }
        self.fix.push_str(advice);
    }

    /// Adds when a certificate expires.
    pub(crate) fn add_expiry(&mut self, expiry: Timestamp, now: Timestamp) {
        let left = expiry.duration_since_epoch().saturating_sub(now.duration_since_epoch());
        let days = left.as_secs() / (24 * 3600);
        let _ = write!(self.text, ", certificate until {expiry} ({days} days)");
        self.figures.push(("certificate_days", days));
        if days < limits::TEST_CERTIFICATE_DAYS_MIN {
            self.advise("renew the certificate");
        }
    }

    /// Adds how the endpoint was reached.
    pub(crate) fn add_reachability(&mut self, reachability: &Reachability, now: Timestamp) {
        let Reachability { addresses, proxy, certificate_expiry } = reachability;
        for (place, address) in addresses.iter().take(limits::TEST_ADDRESSES_SHOWN).enumerate() {
            let _ = write!(self.text, "{}{address}", if place == 0 { ", resolved to " } else { ", " });
        }
        if let Some(variable) = proxy {
            let _ = write!(self.text, ", through the proxy in {variable}");
        }
        if let Some(expiry) = certificate_expiry {
            self.add_expiry(*expiry, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn said(certificate_days: u64, addresses: &[&str]) -> Finding {
        let now = Timestamp::since_epoch(Duration::from_secs(1_795_323_967));
        let left = Duration::from_secs(certificate_days * 24 * 3600 + 7200);
        let reachability = Reachability {
            addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
            proxy: None,
            certificate_expiry: Some(Timestamp::since_epoch(now.duration_since_epoch() + left)),
        };
        let mut finding = Finding::good("server", "up");
        finding.add_reachability(&reachability, now);
        finding
    }

    #[test]
    fn a_certificate_that_expires_soon_is_to_be_renewed() {
        let month = said(30, &[]);
        assert_eq!(
            (month.text.as_str(), month.fix.as_str()),
            ("up, certificate until 2026-12-22T07:06:07Z (30 days)", "")
        );
        let sooner = said(29, &["10.1.2.3", "::1"]);
        let text = "up, resolved to 10.1.2.3, ::1, certificate until 2026-12-21T07:06:07Z (29 days)";
        assert_eq!((sooner.text.as_str(), sooner.fix.as_str()), (text, "renew the certificate"));
        assert_eq!(sooner.figures, [("certificate_days", 29)]);
        assert!(sooner.is_good);
    }
}
