//! Answers that no later attempt changes, each with a name of its own: a clock that is wrong, another region, a quota that is used
//! up, a server that speaks HTTP where HTTPS was expected.

use http::{HeaderMap, StatusCode};
use jiff::{SignedDuration, Timestamp};

use super::explain::LineFault;

/// How far a clock may be off before a refusal is put down to it: S3 and Azure take a quarter of an hour, Google five minutes.
const MOST_SKEW: SignedDuration = SignedDuration::from_mins(4);

/// Codes and words for a quota that is used up.
const FULL: [&str; 6] = ["QuotaExceeded", "quota", "StorageFull", "InsufficientStorage", "not enough space", "AccountIsFull"];

/// Words for requests that come too often, which have a quota of another kind.
const TOO_OFTEN: [&str; 4] = ["rateLimitExceeded", "RateLimit", "SlowDown", "TooManyRequests"];

/// What a refusal means, where it is one of these.
pub(super) fn understand(status: StatusCode, headers: &HeaderMap, answer: &[u8], now: Timestamp) -> Option<LineFault> {
    let text = String::from_utf8_lossy(answer);
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match status.as_u16() {
        507 => Some(full(&text)),
        402 | 403 | 409 | 413 | 500 | 503 if says(&FULL) && !says(&TOO_OFTEN) => Some(full(&text)),
        400 | 401 | 403 => {
            let server = element(&text, "ServerTime").or_else(|| header("date"));
            let skew = server.and_then(read_time).map(|server| now.duration_since(server));
            let is_named = says(&["RequestTimeTooSkewed", "RequestExpired", "reasonable timeframe", "too old", "not yet valid"]);
            if is_named || skew.is_some_and(|skew| skew.abs() > MOST_SKEW) {
                return Some(LineFault::Clock(skew));
            }
            let expected = element(&text, "Region").or_else(|| header("x-amz-bucket-region"));
            if says(&["IllegalLocationConstraint"]) || (expected.is_some() && says(&["AuthorizationHeaderMalformed", "region"])) {
                return Some(LineFault::Region(expected.map(str::to_owned)));
            }
            says(&["HTTP request to an HTTPS server", "HTTP request was sent to HTTPS port"])
                .then_some(LineFault::Scheme { wants: "https" })
        }
        301 | 307 => Some(LineFault::Region(element(&text, "Region").or_else(|| header("x-amz-bucket-region")).map(str::to_owned))),
        _ => None,
    }
}

fn full(text: &str) -> LineFault {
    LineFault::Full(text.chars().filter(|c| !c.is_control()).take(300).collect())
}

/// What stands in an element of an XML answer.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    let (content, _) = rest.split_once('<')?;
    Some(content.trim()).filter(|content| !content.is_empty() && content.len() < 100)
}

fn read_time(text: &str) -> Option<Timestamp> {
    text.parse().ok().or_else(|| jiff::fmt::rfc2822::parse(text).ok().map(|time| time.timestamp()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn understood(status: u16, headers: &[(&'static str, &str)], answer: &str) -> Option<String> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        let now = "2026-11-30T12:00:00Z".parse().unwrap();
        understand(StatusCode::from_u16(status).unwrap(), &map, answer.as_bytes(), now).map(|fault| format!("{fault:?}"))
    }

    #[test]
    fn each_has_its_name() {
        let date = |time: &'static str| [("date", time)];
        let skewed = understood(403, &date("Mon, 30 Nov 2026 11:00:00 GMT"), "<Code>SignatureDoesNotMatch</Code>").unwrap();
        assert!(skewed.contains("Clock") && skewed.contains("1h"), "{skewed}");
        assert_eq!(understood(403, &date("Mon, 30 Nov 2026 12:00:09 GMT"), "<Code>SignatureDoesNotMatch</Code>"), None);
        let named = "<Error><Code>RequestTimeTooSkewed</Code><ServerTime>2026-11-30T12:20:00Z</ServerTime></Error>";
        assert!(understood(403, &[], named).unwrap().contains("20m"));
        assert!(understood(403, &[], "<Code>RequestTimeTooSkewed</Code>").unwrap().contains("None"));
        for (status, text) in
            [(403, "<Code>QuotaExceeded</Code>"), (507, ""), (413, "Upload exceeds quota."), (503, "<Code>XMinioStorageFull</Code>")]
        {
            assert!(understood(status, &[], text).unwrap().contains("Full"), "{text}");
        }
        assert_eq!(understood(403, &[], "quota: rateLimitExceeded"), None);
        let malformed = "<Code>AuthorizationHeaderMalformed</Code><Message>the region 'a' is wrong</Message><Region>eu-west-1</Region>";
        assert!(understood(400, &[], malformed).unwrap().contains("eu-west-1"));
        assert!(understood(301, &[("x-amz-bucket-region", "eu-west-1")], "").unwrap().contains("eu-west-1"));
        assert!(understood(400, &[], "Client sent an HTTP request to an HTTPS server.\n").unwrap().contains("https"));
        assert_eq!(understood(403, &[], "<Code>AccessDenied</Code>"), None);
        assert_eq!(understood(503, &[], "<Code>SlowDown</Code>"), None);
    }

    proptest::proptest! {
        #[test]
        fn no_answer_panics(status in 100u16..600, text in "(<(Region|ServerTime|Code)>)?\\PC{0,40}(<)?\\PC{0,9}", date in "[ -~]{0,40}") {
            let _ = understood(status, &[("date", date.as_str())], &text);
        }
    }
}
