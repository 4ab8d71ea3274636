//! Stored files as a browser may have them: types that cannot run anything, and ranges.

use http::HeaderValue;

/// The most of a file that one answer has: a player asks on from there, and the server decides how much is read ahead.
pub const RANGE_BYTES: u64 = 1024 * 1024;

/// The type of a file by its name: pictures, sound and video, which run nothing. `None` for what is only to be saved.
pub fn shown_type(name: &[u8]) -> Option<&'static str> {
    let ending = name.rsplit(|&byte| byte == b'.').next().unwrap_or_default().to_ascii_lowercase();
    Some(match ending.as_slice() {
        b"jpg" | b"jpeg" => "image/jpeg",
        b"png" => "image/png",
        b"gif" => "image/gif",
        b"webp" => "image/webp",
        b"mp4" | b"m4v" | b"mov" => "video/mp4",
        b"webm" => "video/webm",
        b"ogg" | b"oga" | b"opus" => "audio/ogg",
        b"mp3" => "audio/mpeg",
        b"m4a" => "audio/mp4",
        b"flac" => "audio/flac",
        b"wav" => "audio/wav",
        _ => return None,
    })
}

/// Bytes of a file that are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All of it.
    Whole,
    /// From the first up to, not including, the second.
    Part(u64, u64),
    /// None that it has.
    Nothing,
}

/// Reads a `Range` header for a file of this length. Several ranges, and what is no range, count as none.
pub fn wanted(range: Option<&HeaderValue>, length: u64) -> Wanted {
    let Some(spec) = range.and_then(|range| range.to_str().ok()?.strip_prefix("bytes=")) else { return Wanted::Whole };
    let Some((from, to)) = spec.split_once('-').filter(|_| !spec.contains(',')) else { return Wanted::Whole };
    let (from, to) = match (from.trim().parse::<u64>(), to.trim().parse::<u64>()) {
        (Ok(from), Ok(to)) if to >= from => (from, to.saturating_add(1)),
        (Ok(from), Err(_)) if to.trim().is_empty() => (from, length),
        (Err(_), Ok(last)) if from.trim().is_empty() => (length.saturating_sub(last), length),
        _ => return Wanted::Whole,
    };
    if from >= length { Wanted::Nothing } else { Wanted::Part(from, to.min(length).min(from.saturating_add(RANGE_BYTES))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_what_a_player_asks_for() {
        let of = |text: &str| wanted(Some(&text.parse().unwrap()), 3_000_000);
        assert_eq!(wanted(None, 5), Wanted::Whole);
        assert_eq!(of("bytes=0-"), Wanted::Part(0, RANGE_BYTES));
        assert_eq!(of("bytes=10-19"), Wanted::Part(10, 20));
        assert_eq!(of("bytes=2999990-5000000"), Wanted::Part(2_999_990, 3_000_000));
        assert_eq!(of("bytes=-100"), Wanted::Part(2_999_900, 3_000_000));
        assert_eq!(of("bytes=3000000-"), Wanted::Nothing);
        for odd in ["bytes=5-4", "bytes=a-b", "bytes=0-1,4-5", "lines=1-2", "bytes=-"] {
            assert_eq!(of(odd), Wanted::Whole, "{odd}");
        }
        assert_eq!(wanted(Some(&"bytes=0-".parse().unwrap()), 0), Wanted::Nothing);
    }

    #[test]
    fn what_could_run_something_is_only_saved() {
        for name in ["a.html", "a.svg", "a.xml", "a.xhtml", "a.js", "a.pdf", "a", "a.jpg.html"] {
            assert_eq!(shown_type(name.as_bytes()), None, "{name}");
        }
        assert_eq!(shown_type(b"media/photos/1.JPG"), Some("image/jpeg"));
    }
}
