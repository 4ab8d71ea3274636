//! Parts of files.

use grammers_tl_types::{enums, functions as f, types};

use crate::telegram::dispatch::{Call, Refusal};
use crate::telegram::faults::Effect;
use crate::telegram::files::{Reference, file_bytes};

/// Offsets and limits are multiples of this, in bytes.
const UNIT: i64 = 4096;
/// Parts do not cross multiples of this, in bytes.
const WINDOW: i64 = 1 << 20;

pub(super) fn get_file(call: &mut Call<'_>, request: f::upload::GetFile) -> Result<enums::upload::File, Refusal> {
    let (offset, limit) = (request.offset, i64::from(request.limit));
    use enums::InputFileLocation as L;
    let (id, variant, reference) = match &request.location {
        L::InputDocumentFileLocation(l) => (l.id, l.thumb_size.as_str(), Some((l.access_hash, &l.file_reference))),
        L::InputPhotoFileLocation(l) => (l.id, l.thumb_size.as_str(), Some((l.access_hash, &l.file_reference))),
        L::InputPeerPhotoFileLocation(l) => (l.photo_id, if l.big { "c" } else { "a" }, None),
        L::InputTakeoutFileLocation if call.takeout => return Ok(other_data(offset)),
        L::InputTakeoutFileLocation => return Err(Refusal::new(403, "TAKEOUT_REQUIRED")),
        _ => return Err(Refusal::bad("LOCATION_INVALID")),
    };
    let files = &call.shared.world().files;
    let size = files.size(id, variant).ok_or_else(|| Refusal::bad("FILE_ID_INVALID"))?;
    if let Some((access_hash, reference)) = reference {
        if access_hash != files.access_hash(id) {
            return Err(Refusal::bad("FILE_ID_INVALID"));
        }
        match files.check_reference(id, reference) {
            Reference::Good => {}
            Reference::Expired => return Err(Refusal::bad("FILE_REFERENCE_EXPIRED")),
            Reference::Invalid if reference.is_empty() => return Err(Refusal::bad("FILE_REFERENCE_EMPTY")),
            Reference::Invalid => return Err(Refusal::bad("FILE_REFERENCE_INVALID")),
        }
    }
    let dc = files.dc(id);
    if dc != call.dc {
        return Err(Refusal::new(303, format!("FILE_MIGRATE_{dc}")));
    }
    check_part(offset, limit, request.precise)?;
    if call.part == Some(Effect::CdnRedirect) {
        let redirect = types::upload::FileCdnRedirect {
            dc_id: 203,
            file_token: id.to_le_bytes().to_vec(),
            encryption_key: vec![1; 32],
            encryption_iv: vec![2; 16],
            file_hashes: Vec::new(),
        };
        return Ok(redirect.into());
    }
    let mut len = limit.min(size as i64 - offset).max(0);
    if let Some(Effect::PartLength(change)) = call.part {
        len = (len + change).max(0);
    }
    let r#type = match variant {
        "" => enums::storage::FileType::FileUnknown,
        _ => enums::storage::FileType::FileJpeg,
    };
    Ok(types::upload::File { r#type, mtime: call.now, bytes: file_bytes(id, full(id, variant, files), offset as u64, len as usize) }.into())
}

/// A photo's largest size is the file itself; the letters of the others are part of what their bytes follow from.
fn full<'v>(id: i64, variant: &'v str, files: &crate::telegram::files::Files) -> &'v str {
    if matches!(variant, "y" | "c") && files.size(id, "y").is_some() { "" } else { variant }
}

/// The rules of <https://core.telegram.org/api/files#downloading-files>; `precise` asks for 1 KiB steps instead of 4 KiB.
fn check_part(offset: i64, limit: i64, precise: bool) -> Result<(), Refusal> {
    let unit = if precise { 1024 } else { UNIT };
    if offset < 0 || offset % unit != 0 {
        return Err(Refusal::bad("OFFSET_INVALID"));
    }
    let fits = offset / WINDOW == (offset + limit - 1) / WINDOW;
    if limit <= 0 || limit % unit != 0 || limit > WINDOW || (!precise && WINDOW % limit != 0) || !fits {
        return Err(Refusal::bad("LIMIT_INVALID"));
    }
    Ok(())
}

/// The miscellaneous data that Telegram gives exports as one JSON file.
fn other_data(offset: i64) -> enums::upload::File {
    let all = br#"{"about": "Data that belongs to the test account and to no other list.", "drafts": []}"#;
    let bytes = usize::try_from(offset).ok().and_then(|offset| all.get(offset..)).unwrap_or_default().to_vec();
    types::upload::File { r#type: enums::storage::FileType::FileUnknown, mtime: 0, bytes }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn part_rules() {
        for (offset, limit, precise, good) in [
            (0, 4096, false, true),
            (0, 1 << 20, false, true),
            (512 << 10, 512 << 10, false, true),
            (512 << 10, 1 << 20, false, false),
            (0, 2 << 20, false, false),
            (0, 12_288, false, false),
            (0, 12_288, true, true),
            (0, 1024, false, false),
            (1024, 1024, true, true),
            (100, 4096, false, false),
            (0, 0, false, false),
            (-4096, 4096, false, false),
        ] {
            assert_eq!(check_part(offset, limit, precise).is_ok(), good, "{offset} {limit} {precise}");
        }
    }
}
