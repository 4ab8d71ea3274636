//! Text with entities, cut into parts as Telegram Desktop's exports do it.

use grammers_tl_types::enums::MessageEntity as Entity;
use serde_json::value::RawValue;

use super::json::{Object, list, raw};

/// One stretch of a text.
struct Part<'a> {
    text: &'a str,
    entity: Option<&'a Entity>,
}

/// The type's word in the exports.
fn kind(entity: &Entity) -> &'static str {
    match entity {
        Entity::Mention(_) => "mention",
        Entity::Hashtag(_) => "hashtag",
        Entity::BotCommand(_) => "bot_command",
        Entity::Url(_) => "link",
        Entity::Email(_) => "email",
        Entity::Bold(_) => "bold",
        Entity::Italic(_) => "italic",
        Entity::Code(_) => "code",
        Entity::Pre(_) => "pre",
        Entity::TextUrl(_) => "text_link",
        Entity::MentionName(_) | Entity::InputMessageEntityMentionName(_) => "mention_name",
        Entity::Phone(_) => "phone",
        Entity::Cashtag(_) => "cashtag",
        Entity::Underline(_) => "underline",
        Entity::Strike(_) => "strikethrough",
        Entity::BankCard(_) => "bank_card",
        Entity::Spoiler(_) => "spoiler",
        Entity::CustomEmoji(_) => "custom_emoji",
        Entity::Blockquote(_) => "blockquote",
        Entity::Unknown(_)
        | Entity::FormattedDate(_)
        | Entity::DiffInsert(_)
        | Entity::DiffReplace(_)
        | Entity::DiffDelete(_)
        | Entity::TonAddress(_) => "unknown",
    }
}

fn span(entity: &Entity) -> (i32, i32) {
    (entity.offset(), entity.length())
}

/// The byte positions of UTF-16 positions, asked for in ascending order.
struct Utf16Positions<'a> {
    rest: std::str::CharIndices<'a>,
    units: usize,
    length: usize,
}

impl<'a> Utf16Positions<'a> {
    fn new(text: &'a str) -> Self {
        Self { rest: text.char_indices(), units: 0, length: text.len() }
    }

    /// `None` past the end and inside a surrogate pair.
    fn byte_at(&mut self, units: usize) -> Option<usize> {
        while self.units < units {
            self.units += self.rest.next()?.1.len_utf16();
        }
        (self.units == units).then(|| self.rest.clone().next().map_or(self.length, |(position, _)| position))
    }
}

/// Cuts `text`; gives the parts, and whether an entity had to be left out because it overlaps another.
fn cut<'a>(text: &'a str, entities: &'a [Entity]) -> (Vec<Part<'a>>, bool) {
    let mut parts = Vec::new();
    let mut dropped = false;
    let mut positions = Utf16Positions::new(text);
    let (mut done_units, mut done) = (0, 0);
    for entity in entities {
        let (offset, length) = span(entity);
        let (Ok(offset), Ok(length)) = (usize::try_from(offset), usize::try_from(length)) else {
            dropped = true;
            continue;
        };
        if length == 0 || offset < done_units {
            dropped = true;
            continue;
        }
        // Looked up on a copy, so that an entity that is refused does not move the position.
        let mut ahead = Utf16Positions { rest: positions.rest.clone(), ..positions };
        let (Some(start), Some(end)) = (ahead.byte_at(offset), ahead.byte_at(offset.saturating_add(length))) else {
            dropped = true;
            continue;
        };
        positions = ahead;
        if start > done {
            parts.push(Part { text: text.get(done..start).unwrap_or_default(), entity: None });
        }
        parts.push(Part { text: text.get(start..end).unwrap_or_default(), entity: Some(entity) });
        (done_units, done) = (offset + length, end);
    }
    if done < text.len() {
        parts.push(Part { text: text.get(done..).unwrap_or_default(), entity: None });
    }
    (parts, dropped)
}

/// What stands in `document_id` of a custom emoji.
pub(super) enum EmojiIds<'a> {
    /// A path, or the word for a file that is not there: in messages and reactions.
    Files(&'a dyn Fn(i64) -> String),
    /// The number: in polls, lists and gifts.
    Numbers,
}

fn part_json(part: &Part<'_>, emoji: &EmojiIds<'_>) -> String {
    let mut object = Object::new();
    object.put("type", part.entity.map_or("plain", kind)).put("text", part.text);
    match part.entity {
        Some(Entity::Pre(pre)) => {
            object.put("language", &pre.language);
        }
        Some(Entity::TextUrl(link)) => {
            object.put("href", &link.url);
        }
        Some(Entity::MentionName(mention)) => {
            object.put("user_id", &mention.user_id);
        }
        Some(Entity::CustomEmoji(custom)) => {
            let id = match emoji {
                EmojiIds::Files(path) => path(custom.document_id),
                EmojiIds::Numbers => custom.document_id.to_string(),
            };
            object.put("document_id", &id);
        }
        Some(Entity::Blockquote(quote)) => {
            object.put("collapsed", &quote.collapsed);
        }
        _ => {}
    }
    object.end()
}

/// A text in its two forms.
pub(super) struct Text {
    /// The value of `text`: a string, or a list of strings and objects.
    pub(super) text: String,
    /// The value of `text_entities`.
    pub(super) entities: String,
    /// Whether `entities` lacks some of the server's.
    pub(super) dropped: bool,
}

/// Renders a text.
pub(super) fn render(text: &str, entities: &[Entity], emoji: &EmojiIds<'_>) -> Text {
    let quoted = |text: &str| serde_json::to_string(text).unwrap_or_else(|_| "\"\"".into());
    if entities.is_empty() {
        let plain = || [part_json(&Part { text, entity: None }, emoji)];
        let entities = if text.is_empty() { "[]".into() } else { list(plain()) };
        return Text { text: quoted(text), entities, dropped: false };
    }
    let (parts, dropped) = cut(text, entities);
    let objects: Vec<String> = parts.iter().map(|part| part_json(part, emoji)).collect();
    let short = match parts.as_slice() {
        [] => "\"\"".into(),
        [Part { text, entity: None }] => quoted(text),
        _ => list(parts.iter().zip(&objects).map(|(part, object)| match part.entity {
            None => quoted(part.text),
            Some(_) => object.clone(),
        })),
    };
    Text { text: short, entities: list(objects), dropped }
}

/// All entities in the server's order, for texts where they overlap.
pub(super) fn all_entities(entities: &[Entity]) -> Box<RawValue> {
    raw(list(entities.iter().map(|entity| {
        let (offset, length) = span(entity);
        let mut object = Object::new();
        object.put("type", kind(entity)).put("offset", &offset).put("length", &length);
        match entity {
            Entity::Pre(pre) => object.put("language", &pre.language),
            Entity::TextUrl(link) => object.put("href", &link.url),
            Entity::MentionName(mention) => object.put("user_id", &mention.user_id),
            Entity::CustomEmoji(custom) => object.put("document_id", &custom.document_id.to_string()),
            Entity::Blockquote(quote) => object.put("collapsed", &quote.collapsed),
            Entity::FormattedDate(date) => object.put("date", &date.date),
            _ => &mut object,
        };
        object.end()
    })))
}

#[cfg(test)]
mod tests {
    use grammers_tl_types::types;
    use proptest::prelude::*;

    use super::*;

    fn bold(offset: i32, length: i32) -> Entity {
        types::MessageEntityBold { offset, length }.into()
    }

    fn shown(text: &str, entities: &[Entity]) -> (String, String, bool) {
        let text = render(text, entities, &EmojiIds::Numbers);
        (text.text, text.entities, text.dropped)
    }

    #[test]
    fn plain_text_is_a_string() {
        assert_eq!(shown("", &[]), ("\"\"".into(), "[]".into(), false));
        assert_eq!(shown("a\"b", &[]), ("\"a\\\"b\"".into(), "[{\"type\":\"plain\",\"text\":\"a\\\"b\"}]".into(), false));
    }

    #[test]
    fn offsets_count_utf16_units() {
        let (text, entities, dropped) = shown("👋 hello", &[bold(3, 5)]);
        assert_eq!(text, "[\"👋 \",{\"type\":\"bold\",\"text\":\"hello\"}]");
        assert_eq!(entities, "[{\"type\":\"plain\",\"text\":\"👋 \"},{\"type\":\"bold\",\"text\":\"hello\"}]");
        assert!(!dropped);
    }

    #[test]
    fn overlapping_and_impossible_entities_are_left_out() {
        let italic: Entity = types::MessageEntityItalic { offset: 0, length: 3 }.into();
        for bad in [italic, bold(1, 1), bold(2, 9), bold(-1, 2), bold(3, 0), bold(i32::MAX, i32::MAX)] {
            let (text, _, dropped) = shown("abcdef", &[bold(0, 3), bad]);
            assert_eq!((text.as_str(), dropped), ("[{\"type\":\"bold\",\"text\":\"abc\"},\"def\"]", true));
        }
        assert!(shown("👋", &[bold(1, 1)]).2, "an entity that begins inside a character");
    }

    #[test]
    fn entities_carry_what_they_point_to() {
        let link: Entity = types::MessageEntityTextUrl { offset: 0, length: 1, url: "https://a.b".into() }.into();
        let emoji: Entity = types::MessageEntityCustomEmoji { offset: 1, length: 1, document_id: 77 }.into();
        let text = render("ab", &[link, emoji], &EmojiIds::Files(&|id| format!("media/document/{id}-full.webp")));
        assert_eq!(
            text.text,
            "[{\"type\":\"text_link\",\"text\":\"a\",\"href\":\"https://a.b\"},{\"type\":\"custom_emoji\",\"text\":\"b\",\"document_id\":\"media/document/77-full.webp\"}]"
        );
    }

    proptest! {
        #[test]
        fn the_parts_are_the_text(text in ".{0,40}", spans in prop::collection::vec((-2_i32..60, -2_i32..60), 0..8)) {
            let entities: Vec<Entity> = spans.into_iter().map(|(offset, length)| bold(offset, length)).collect();
            let (parts, _) = cut(&text, &entities);
            prop_assert_eq!(parts.iter().map(|part| part.text).collect::<String>(), text.clone());
            let rendered = render(&text, &entities, &EmojiIds::Numbers);
            prop_assert!(serde_json::from_str::<serde_json::Value>(&rendered.text).is_ok());
            let list: Vec<serde_json::Value> = serde_json::from_str(&rendered.entities).unwrap();
            prop_assert_eq!(list.iter().map(|part| part["text"].as_str().unwrap()).collect::<String>(), text);
        }
    }
}
