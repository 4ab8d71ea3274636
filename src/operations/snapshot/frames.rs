//! Frames that were decoded a moment ago: the small logs of many chats lie side by side, and each frame is fetched once for all
//! of them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::archive::reader::Scratch;
use crate::repository::RepositoryError;
use crate::repository::contents::Contents;
use crate::repository::tree::Place;

/// How many frames, of 2 MiB at most, are kept.
const KEPT: usize = 3;

/// Contents up to this length are taken from kept frames, in bytes; longer ones would only push others out.
pub(super) const SMALL_BYTES: u64 = 512 * 1024;

/// A decoded frame.
struct Frame {
    archive: u32,
    number: u32,
    /// Its first byte's place in the tar stream.
    start: u64,
    plain: Vec<u8>,
}

/// The frames that were decoded last.
#[derive(Default)]
pub(super) struct Frames {
    kept: Mutex<VecDeque<Arc<Frame>>>,
}

impl Frames {
    /// A small content, unchecked against its digest.
    ///
    /// # Errors
    /// When the archive cannot be read.
    pub fn content(&self, contents: &Contents, place: &Place) -> Result<Vec<u8>, RepositoryError> {
        let failed = |error| contents.failed(place.archive, error);
        let reader = contents.archive(place.archive)?;
        let end = place.offset.saturating_add(place.length);
        let mut content = Vec::with_capacity(place.length.min(SMALL_BYTES) as usize);
        let mut at = place.offset;
        while at < end {
            let number = reader.frame_at(at).map_err(failed)?;
            let frame = match self.find(place.archive, number) {
                Some(frame) => frame,
                None => {
                    let mut frame = Frame { archive: place.archive, number, start: 0, plain: Vec::new() };
                    let scanned = reader.scan(number..number.saturating_add(1), &mut Scratch::default(), &mut |start, plain| {
                        frame.start = start;
                        frame.plain = plain.to_vec();
                        Ok(())
                    });
                    scanned.map_err(failed)?;
                    self.keep(frame)
                }
            };
            let from = at.saturating_sub(frame.start) as usize;
            let rest = frame.plain.get(from..).unwrap_or_default();
            let piece = rest.get(..usize::try_from(end - at).unwrap_or(usize::MAX)).unwrap_or(rest);
            if piece.is_empty() {
                return Err(RepositoryError::damaged(&format!("frame {number} of an archive"), "it is shorter than its seek table says"));
            }
            content.extend_from_slice(piece);
            at += piece.len() as u64;
        }
        Ok(content)
    }

    fn find(&self, archive: u32, number: u32) -> Option<Arc<Frame>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|frame| (frame.archive, frame.number) == (archive, number)).map(Arc::clone)
    }

    fn keep(&self, frame: Frame) -> Arc<Frame> {
        let frame = Arc::new(frame);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT {
            kept.pop_front();
        }
        kept.push_back(Arc::clone(&frame));
        frame
    }
}
