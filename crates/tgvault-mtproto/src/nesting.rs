//! Answers that are nested without end: whoever reads them would run out of stack, which ends the program and not only the request.

use grammers_tl_types::Identifiable;
use grammers_tl_types::types as t;

/// Texts and blocks in one another that an answer may have in all; a page of messages that has more is asked for in smaller parts.
/// The threads that read answers have the stack for so many, one in the other: see [`STACK_BYTES`].
const MOST: usize = 20_000;

/// The stack of threads that read answers. A level takes about a kilobyte, and only what is used is ever memory.
pub const STACK_BYTES: usize = 64 << 20;

/// Whether an answer may be nested more deeply than can be read.
///
/// Texts of pages and rich messages hold texts, and blocks hold blocks, without a limit of their own. So all that can hold one of its
/// kind are counted, wherever they stand: each is at most one level.
pub(super) fn is_too_deep(answer: &[u8]) -> bool {
    if answer.len() / 4 <= MOST || answer.starts_with(&t::upload::File::CONSTRUCTOR_ID.to_le_bytes()) {
        return false;
    }
    answer
        .chunks_exact(4)
        .filter(|word| word.first_chunk().is_some_and(|word| holds_its_kind(u32::from_le_bytes(*word))))
        .nth(MOST)
        .is_some()
}

fn holds_its_kind(constructor: u32) -> bool {
    matches!(
        constructor,
        t::TextBold::CONSTRUCTOR_ID
            | t::TextItalic::CONSTRUCTOR_ID
            | t::TextUnderline::CONSTRUCTOR_ID
            | t::TextStrike::CONSTRUCTOR_ID
            | t::TextFixed::CONSTRUCTOR_ID
            | t::TextUrl::CONSTRUCTOR_ID
            | t::TextEmail::CONSTRUCTOR_ID
            | t::TextConcat::CONSTRUCTOR_ID
            | t::TextSubscript::CONSTRUCTOR_ID
            | t::TextSuperscript::CONSTRUCTOR_ID
            | t::TextMarked::CONSTRUCTOR_ID
            | t::TextPhone::CONSTRUCTOR_ID
            | t::TextAnchor::CONSTRUCTOR_ID
            | t::TextSpoiler::CONSTRUCTOR_ID
            | t::TextMention::CONSTRUCTOR_ID
            | t::TextHashtag::CONSTRUCTOR_ID
            | t::TextBotCommand::CONSTRUCTOR_ID
            | t::TextCashtag::CONSTRUCTOR_ID
            | t::TextAutoUrl::CONSTRUCTOR_ID
            | t::TextAutoEmail::CONSTRUCTOR_ID
            | t::TextAutoPhone::CONSTRUCTOR_ID
            | t::TextBankCard::CONSTRUCTOR_ID
            | t::TextMentionName::CONSTRUCTOR_ID
            | t::TextDate::CONSTRUCTOR_ID
            | t::TextDiff::CONSTRUCTOR_ID
            | t::TextButton::CONSTRUCTOR_ID
            | t::TextTonAddress::CONSTRUCTOR_ID
            | t::PageBlockCover::CONSTRUCTOR_ID
            | t::PageBlockEmbedPost::CONSTRUCTOR_ID
            | t::PageBlockCollage::CONSTRUCTOR_ID
            | t::PageBlockSlideshow::CONSTRUCTOR_ID
            | t::PageBlockDetails::CONSTRUCTOR_ID
            | t::PageBlockBlockquoteBlocks::CONSTRUCTOR_ID
            | t::PageListItemBlocks::CONSTRUCTOR_ID
            | t::PageListOrderedItemBlocks::CONSTRUCTOR_ID
            | t::JsonArray::CONSTRUCTOR_ID
            | t::JsonObject::CONSTRUCTOR_ID
    )
}
