//! A file with patterns, one a line, in the encodings that editors write.

use std::path::Path;

use super::error::CommandError;
use super::units::printable;
use crate::model::filter::pattern_lines;

/// The patterns in the file at `path`.
///
/// # Errors
/// When it cannot be read, or its encoding is neither UTF-8 nor, with a byte order mark, UTF-16.
pub(super) fn read_patterns(path: &Path) -> Result<Vec<String>, CommandError> {
    let bytes = std::fs::read(path).map_err(|source| CommandError::file("read", path, source))?;
    let text = decoded(&bytes).map_err(|what| {
        CommandError::usage(
            format!("cannot use the patterns in '{}': it is {what}", printable(&path.to_string_lossy())),
            "save it as UTF-8 text; where names in the folder are not UTF-8, let '?' stand for each byte",
        )
    })?;
    Ok(pattern_lines(&text).map(str::to_owned).collect())
}

/// The text, or what else it is.
fn decoded(bytes: &[u8]) -> Result<String, &'static str> {
    let utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let (pairs, rest) = bytes.as_chunks::<2>();
        let text = char::decode_utf16(pairs.iter().map(|&pair| unit(pair))).collect::<Result<String, _>>();
        text.ok().filter(|text| rest.is_empty() && !text.contains('\0')).ok_or("neither UTF-8 nor whole UTF-16")
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        _ if bytes.contains(&0) => Err("UTF-16 without a byte order mark, or no text"),
        _ => String::from_utf8(bytes.to_vec()).map_err(|_| "not UTF-8"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_editors_write_is_read_and_the_rest_is_named() {
        let little: Vec<u8> = "\u{feff}caf\u{e9}\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = "\u{feff}caf\u{e9}\r\n".encode_utf16().flat_map(u16::to_be_bytes).collect();
        for bytes in [little.as_slice(), &big, "caf\u{e9}\r\n".as_bytes()] {
            assert_eq!(decoded(bytes).unwrap(), "caf\u{e9}\r\n");
        }
        assert_eq!(decoded(b"").unwrap(), "");
        let utf32 = b"\xff\xfe\0\0a\0\0\0";
        for bad in [little.get(2..).unwrap(), little.get(..5).unwrap(), b"caf\xe9", utf32] {
            assert!(decoded(bad).is_err(), "{bad:?}");
        }
    }
}
