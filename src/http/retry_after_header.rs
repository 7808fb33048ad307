//! `Retry-After`: how long a server asks us to stay away, as seconds or as a date (RFC 9110, 10.2.3). Pure.

use crate::calendar::Timestamp;
use std::time::{Duration, UNIX_EPOCH};

/// The fields of an answer that say when to send the next request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RetryAfter {
    /// The field itself.
    pub(super) asked: String,
    /// The server's own time (`Date`), if the answer has it.
    pub(super) date: Option<String>,
}

impl RetryAfter {
    /// The pause, from when the answer came; nothing for what is past. None if the field is neither form.
    ///
    /// A date is taken by the clock that it was made by, which may be wrong as long as it is the same; `received` stands
    /// in for an answer without a date, as the RFC has it (6.6.1).
    pub(super) fn pause(&self, received: Timestamp) -> Option<Duration> {
        let asked = self.asked.trim();
        if let Ok(seconds) = asked.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let sent = self.date.as_deref().and_then(date).unwrap_or_else(|| received.duration_since_epoch());
        Some(date(asked)?.saturating_sub(sent))
    }
}

/// Any of the three forms that HTTP has, counted from the beginning of 1970.
fn date(text: &str) -> Option<Duration> {
    httpdate::parse_http_date(text).ok()?.duration_since(UNIX_EPOCH).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1994-11-06T08:49:30Z.
    const RECEIVED: Duration = Duration::from_secs(784_111_770);

    fn pause(asked: &str, date: Option<&str>) -> Option<u64> {
        let field = RetryAfter { asked: asked.to_owned(), date: date.map(str::to_owned) };
        field.pause(Timestamp::since_epoch(RECEIVED)).map(|pause| pause.as_secs())
    }

    #[test]
    fn each_form_of_a_date_is_understood() {
        for form in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(pause(form, None), Some(7), "{form}");
            assert_eq!(pause(form, Some(form)), Some(0), "{form}");
        }
        assert_eq!(pause(" Sun, 06 Nov 1994 08:49:37 GMT ", None), Some(7));
        assert_eq!(pause("Mon, 07 Nov 1994 08:49:30 GMT", None), Some(24 * 3600));
    }

    #[test]
    fn a_date_counts_by_the_servers_own_clock() {
        let asked = "Wed, 21 Oct 2015 07:28:00 GMT";
        assert_eq!(pause(asked, Some("Wed, 21 Oct 2015 07:27:23 GMT")), Some(37), "years ahead of ours");
        assert_eq!(pause(asked, Some("Wed, 21 Oct 2015 08:00:00 GMT")), Some(0), "past by its own clock");
        assert_eq!(pause(asked, Some("noon")), pause(asked, None), "a clock that nobody can read");
        assert_eq!(pause("Sun, 06 Nov 1994 08:49:00 GMT", None), Some(0), "past by ours");
    }

    #[test]
    fn seconds_have_no_clock_and_nonsense_asks_for_nothing() {
        let date = Some("Wed, 21 Oct 2015 07:27:23 GMT");
        assert_eq!((pause("120", date), pause(" 0 ", None)), (Some(120), Some(0)));
        for nonsense in
            ["", "soon", "-1", "1.5", "Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 CET", "Sun, 06 Nov"]
        {
            assert_eq!(pause(nonsense, date), None, "{nonsense:?}");
        }
    }
}
