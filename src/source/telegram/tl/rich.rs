//! The text of a rich message: its blocks, one after another, as one text with the entities that ordinary messages have.
//!
//! What a text cannot show (pictures, columns, dividers, which part is folded) stays in the message's own bytes.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::fmt::Write;

use grammers_tl_types::enums::{self, MessageEntity as Entity, PageBlock as Block, RichText};
use grammers_tl_types::types as t;

/// Texts and blocks in one another that are followed; nobody writes so many. In the place of what is deeper stands an ellipsis.
const MOST_LEVELS: usize = 100;

/// The whole text of a message, with its entities: what stands beside its blocks, and theirs.
pub(super) fn whole_text(message: &t::Message) -> (Cow<'_, str>, Cow<'_, [Entity]>) {
    let entities = message.entities.as_deref().unwrap_or_default();
    let own = (Cow::Borrowed(message.message.as_str()), Cow::Borrowed(entities));
    let Some(enums::RichMessage::Message(rich)) = &message.rich_message else { return own };
    let mut blocks = Writer::default();
    blocks.blocks(&rich.blocks);
    let all = if is_within(&message.message, &blocks.text) {
        blocks
    } else if is_within(&blocks.text, &message.message) {
        return own;
    } else {
        let mut all = Writer::default();
        all.push(&message.message);
        all.entities.extend(entities.iter().cloned());
        all.blocks(&rich.blocks);
        all
    };
    (Cow::Owned(all.text), Cow::Owned(in_order(all.entities)))
}

/// Whether a text says the words of another, whatever the lines that they stand in and the signs before these.
fn is_within(inner: &str, outer: &str) -> bool {
    let words = |text: &str| {
        let is_sign = |word: &str| matches!(word, "•" | "|" | "☐" | "☑");
        text.split_whitespace().filter(|word| !is_sign(word)).fold(" ".to_owned(), |all, word| all + word + " ")
    };
    words(outer).contains(&words(inner))
}

/// Outer entities first, and of those for the same words links first: of entities that overlap exports show the first.
fn in_order(mut entities: Vec<Entity>) -> Vec<Entity> {
    use Entity::{Blockquote, Bold, Italic, Spoiler, Strike, Underline};
    let is_style = |entity: &Entity| matches!(entity, Bold(_) | Italic(_) | Underline(_) | Strike(_) | Spoiler(_) | Blockquote(_));
    entities.sort_by_key(|entity| (entity.offset(), Reverse(entity.length()), is_style(entity)));
    entities
}

/// A place in the text.
#[derive(Clone, Copy)]
struct Place {
    bytes: usize,
    /// In UTF-16 code units, as entities count.
    units: i32,
    /// How many entities there are before it.
    entities: usize,
}

#[derive(Default)]
struct Writer {
    text: String,
    units: i32,
    entities: Vec<Entity>,
    levels: usize,
    /// Lists around the block.
    lists: usize,
    /// Whether the line has begun with a sign that the block stands behind.
    after_sign: bool,
}

impl Writer {
    fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.units = self.units.saturating_add(i32::try_from(text.encode_utf16().count()).unwrap_or(i32::MAX));
        self.after_sign &= text.is_empty();
    }

    fn place(&self) -> Place {
        Place { bytes: self.text.len(), units: self.units, entities: self.entities.len() }
    }

    fn since(&self, start: Place) -> &str {
        self.text.get(start.bytes..).unwrap_or_default()
    }

    fn back_to(&mut self, start: Place) {
        self.text.truncate(start.bytes);
        self.units = start.units;
        self.entities.truncate(start.entities);
    }

    /// Marks what was written since.
    fn mark(&mut self, start: Place, entity: impl FnOnce(i32, i32) -> Entity) {
        let length = self.units - start.units;
        if length > 0 {
            self.entities.push(entity(start.units, length));
        }
    }

    /// Makes bold what was written since and is nothing else: the links of a heading stay links.
    fn embolden(&mut self, start: Place) {
        let mut spans: Vec<(i32, i32)> =
            self.entities.iter().skip(start.entities).map(|entity| (entity.offset(), entity.offset() + entity.length())).collect();
        spans.push((self.units, self.units));
        spans.sort_unstable();
        let mut done = start.units;
        for (from, to) in spans {
            if from > done {
                self.entities.push(t::MessageEntityBold { offset: done, length: from - done }.into());
            }
            done = done.max(to);
        }
    }

    /// Goes one level down, unless there are too many.
    fn down(&mut self, write: impl FnOnce(&mut Self)) {
        if self.levels >= MOST_LEVELS {
            return self.push("…");
        }
        self.levels += 1;
        write(self);
        self.levels -= 1;
    }

    /// Writes something on lines of its own; nothing leaves no empty line.
    fn block(&mut self, write: impl FnOnce(&mut Self)) {
        let before = self.place();
        if !(self.after_sign || self.text.is_empty() || self.text.ends_with('\n')) {
            self.push("\n");
        }
        let start = self.place();
        write(self);
        if self.text.len() == start.bytes {
            self.back_to(before);
        }
    }

    fn blocks(&mut self, blocks: &[Block]) {
        if self.levels >= MOST_LEVELS && !blocks.is_empty() {
            return self.block(|writer| writer.push("…"));
        }
        for block in blocks {
            self.down(|writer| writer.one_block(block));
        }
    }

    fn line(&mut self, text: &RichText) {
        self.block(|writer| writer.rich(text));
    }

    fn heading(&mut self, text: &RichText) {
        self.block(|writer| {
            let start = writer.place();
            writer.rich(text);
            writer.embolden(start);
        });
    }

    fn caption(&mut self, caption: &enums::PageCaption) {
        let enums::PageCaption::Caption(caption) = caption;
        self.line(&caption.text);
        self.line(&caption.credit);
    }

    fn quote(&mut self, collapsed: bool, write: impl FnOnce(&mut Self)) {
        self.block(|writer| {
            let start = writer.place();
            write(writer);
            writer.mark(start, |offset, length| t::MessageEntityBlockquote { collapsed, offset, length }.into());
        });
    }

    fn one_block(&mut self, block: &Block) {
        match block {
            Block::Title(t::PageBlockTitle { text })
            | Block::Subtitle(t::PageBlockSubtitle { text })
            | Block::Header(t::PageBlockHeader { text })
            | Block::Subheader(t::PageBlockSubheader { text })
            | Block::Heading1(t::PageBlockHeading1 { text })
            | Block::Heading2(t::PageBlockHeading2 { text })
            | Block::Heading3(t::PageBlockHeading3 { text })
            | Block::Heading4(t::PageBlockHeading4 { text })
            | Block::Heading5(t::PageBlockHeading5 { text })
            | Block::Heading6(t::PageBlockHeading6 { text }) => self.heading(text),
            Block::Paragraph(t::PageBlockParagraph { text })
            | Block::Footer(t::PageBlockFooter { text })
            | Block::Kicker(t::PageBlockKicker { text })
            | Block::Thinking(t::PageBlockThinking { text })
            | Block::AuthorDate(t::PageBlockAuthorDate { author: text, .. }) => self.line(text),
            Block::Preformatted(code) => self.block(|writer| {
                let start = writer.place();
                writer.rich(&code.text);
                let language = code.language.clone();
                writer.mark(start, |offset, length| t::MessageEntityPre { offset, length, language }.into());
            }),
            Block::Math(math) => self.block(|writer| writer.code(&math.source)),
            Block::Blockquote(quote) => self.quote(quote.collapsed, |writer| {
                writer.line(&quote.text);
                writer.line(&quote.caption);
            }),
            Block::Pullquote(quote) => self.quote(false, |writer| {
                writer.line(&quote.text);
                writer.line(&quote.caption);
            }),
            Block::BlockquoteBlocks(quote) => self.quote(false, |writer| {
                writer.blocks(&quote.blocks);
                writer.line(&quote.caption);
            }),
            Block::List(list) => self.list(&list.items),
            Block::OrderedList(list) => self.ordered_list(list),
            Block::Table(table) => self.table(table),
            Block::Details(details) => {
                self.heading(&details.title);
                self.blocks(&details.blocks);
            }
            Block::Photo(t::PageBlockPhoto { caption, .. })
            | Block::Video(t::PageBlockVideo { caption, .. })
            | Block::Embed(t::PageBlockEmbed { caption, .. })
            | Block::Audio(t::PageBlockAudio { caption, .. })
            | Block::Document(t::PageBlockDocument { caption, .. })
            | Block::Map(t::PageBlockMap { caption, .. })
            | Block::InputPageBlockMap(t::InputPageBlockMap { caption, .. }) => self.caption(caption),
            Block::Collage(t::PageBlockCollage { items: blocks, caption })
            | Block::Slideshow(t::PageBlockSlideshow { items: blocks, caption }) => {
                self.blocks(blocks);
                self.caption(caption);
            }
            Block::EmbedPost(post) => {
                self.block(|writer| writer.push(&post.author));
                self.blocks(&post.blocks);
                self.caption(&post.caption);
            }
            Block::Cover(cover) => self.down(|writer| writer.one_block(&cover.cover)),
            Block::Channel(shown) => self.block(|writer| writer.push(title(&shown.channel))),
            Block::RelatedArticles(related) => {
                self.heading(&related.title);
                for enums::PageRelatedArticle::Article(article) in &related.articles {
                    self.article(article);
                }
            }
            Block::ButtonRow(row) => self.block(|writer| {
                let buttons = row.buttons.iter().map(|enums::PageButton::Button(button)| button);
                writer.in_a_row(buttons, |writer, button| writer.button(&button.text, &button.r#type));
            }),
            Block::Unsupported | Block::Divider | Block::Anchor(_) => {}
        }
    }

    /// Writes a sign, and what stands behind it.
    fn item(&mut self, checkbox: Option<bool>, sign: &str, write: impl FnOnce(&mut Self)) {
        self.block(|writer| {
            let start = writer.place();
            writer.push(&"  ".repeat(writer.lists.saturating_sub(1)));
            match checkbox {
                Some(checked) => writer.push(if checked { "☑ " } else { "☐ " }),
                None => writer.push(sign),
            }
            let behind = writer.place();
            writer.after_sign = true;
            write(writer);
            writer.after_sign = false;
            // A tick says something by itself, a bullet does not.
            if checkbox.is_none() && writer.text.len() == behind.bytes {
                writer.back_to(start);
            }
        });
    }

    fn list(&mut self, items: &[enums::PageListItem]) {
        self.lists += 1;
        for item in items {
            match item {
                enums::PageListItem::Text(item) => {
                    self.item(item.checkbox.then_some(item.checked), "• ", |writer| writer.rich(&item.text));
                }
                enums::PageListItem::Blocks(item) => {
                    self.item(item.checkbox.then_some(item.checked), "• ", |writer| writer.blocks(&item.blocks));
                }
            }
        }
        self.lists -= 1;
    }

    fn ordered_list(&mut self, list: &t::PageBlockOrderedList) {
        use enums::PageListOrderedItem as Item;
        self.lists += 1;
        let count = i32::try_from(list.items.len()).unwrap_or(i32::MAX);
        let mut next = list.start.unwrap_or(if list.reversed { count } else { 1 });
        for item in &list.items {
            let (checkbox, number, value, kind) = match item {
                Item::Text(item) => (item.checkbox.then_some(item.checked), &item.num, item.value, &item.r#type),
                Item::Blocks(item) => (item.checkbox.then_some(item.checked), &item.num, item.value, &item.r#type),
            };
            let value = value.unwrap_or(next);
            next = value.saturating_add(if list.reversed { -1 } else { 1 });
            let kind = kind.as_ref().or(list.r#type.as_ref()).map_or("1", String::as_str);
            let mut sign = number.clone().filter(|number| !number.is_empty()).unwrap_or_else(|| numeral(value, kind));
            sign.push_str(if sign.ends_with(char::is_alphanumeric) { ". " } else { " " });
            self.item(checkbox, &sign, |writer| match item {
                Item::Text(item) => writer.rich(&item.text),
                Item::Blocks(item) => writer.blocks(&item.blocks),
            });
        }
        self.lists -= 1;
    }

    /// Writes things in one line; nothing where all of them are empty.
    fn in_a_row<T>(&mut self, all: impl Iterator<Item = T>, write: impl Fn(&mut Self, T)) {
        let start = self.place();
        let mut some = false;
        for (index, one) in all.enumerate() {
            if index > 0 {
                self.push(" | ");
            }
            let before = self.text.len();
            write(self, one);
            some |= self.text.len() > before;
        }
        if !some {
            self.back_to(start);
        }
    }

    fn table(&mut self, table: &t::PageBlockTable) {
        self.heading(&table.title);
        for enums::PageTableRow::Row(row) in &table.rows {
            self.block(|writer| {
                let cells = row.cells.iter().map(|enums::PageTableCell::Cell(cell)| cell);
                writer.in_a_row(cells, |writer, cell| {
                    let start = writer.place();
                    if let Some(text) = &cell.text {
                        writer.rich(text);
                    }
                    if cell.header {
                        writer.embolden(start);
                    }
                });
            });
        }
    }

    fn article(&mut self, article: &t::PageRelatedArticle) {
        self.block(|writer| {
            let start = writer.place();
            writer.push(article.title.as_deref().filter(|title| !title.is_empty()).unwrap_or(&article.url));
            writer.link(start, &article.url);
        });
        for more in [&article.description, &article.author].into_iter().flatten() {
            self.block(|writer| writer.push(more));
        }
    }

    fn button(&mut self, text: &RichText, kind: &enums::InlineButtonType) {
        use enums::InlineButtonType as Kind;
        let start = self.place();
        self.rich(text);
        match kind {
            Kind::Url(t::InlineButtonTypeUrl { url })
            | Kind::UrlAuth(t::InlineButtonTypeUrlAuth { url, .. })
            | Kind::InputInlineButtonTypeUrlAuth(t::InputInlineButtonTypeUrlAuth { url, .. })
            | Kind::WebView(t::InlineButtonTypeWebView { url }) => self.link(start, url),
            Kind::UserProfile(t::InlineButtonTypeUserProfile { user_id }) => self.person(start, *user_id),
            Kind::Callback(_)
            | Kind::Game
            | Kind::Buy
            | Kind::SwitchInline(_)
            | Kind::InputInlineButtonTypeUserProfile(_)
            | Kind::Copy(_)
            | Kind::Disabled => {}
        }
    }

    fn code(&mut self, source: &str) {
        let start = self.place();
        self.push(source);
        self.mark(start, |offset, length| t::MessageEntityCode { offset, length }.into());
    }

    fn person(&mut self, start: Place, user_id: i64) {
        self.mark(start, |offset, length| t::MessageEntityMentionName { offset, length, user_id }.into());
    }

    /// Makes a link of what was written since.
    fn link(&mut self, start: Place, url: &str) {
        if self.since(start) == url {
            self.mark(start, |offset, length| t::MessageEntityUrl { offset, length }.into());
        } else if !url.is_empty() {
            self.mark(start, |offset, length| t::MessageEntityTextUrl { offset, length, url: url.to_owned() }.into());
        }
    }

    fn rich(&mut self, text: &RichText) {
        if matches!(text, RichText::TextEmpty) {
            return;
        }
        self.down(|writer| writer.rich_text(text));
    }

    fn rich_text(&mut self, text: &RichText) {
        let start = self.place();
        macro_rules! styled {
            ($inner:expr, $entity:ident) => {{
                self.rich(&$inner.text);
                self.mark(start, |offset, length| t::$entity { offset, length }.into());
            }};
        }
        match text {
            RichText::TextEmpty | RichText::TextImage(_) => {}
            RichText::TextPlain(plain) => self.push(&plain.text),
            RichText::TextConcat(all) => all.texts.iter().for_each(|text| self.rich(text)),
            RichText::TextBold(inner) => styled!(inner, MessageEntityBold),
            RichText::TextItalic(inner) => styled!(inner, MessageEntityItalic),
            RichText::TextUnderline(inner) => styled!(inner, MessageEntityUnderline),
            RichText::TextStrike(inner) => styled!(inner, MessageEntityStrike),
            RichText::TextFixed(inner) => styled!(inner, MessageEntityCode),
            RichText::TextSpoiler(inner) => styled!(inner, MessageEntitySpoiler),
            RichText::TextMention(inner) => styled!(inner, MessageEntityMention),
            RichText::TextHashtag(inner) => styled!(inner, MessageEntityHashtag),
            RichText::TextBotCommand(inner) => styled!(inner, MessageEntityBotCommand),
            RichText::TextCashtag(inner) => styled!(inner, MessageEntityCashtag),
            RichText::TextAutoUrl(inner) => styled!(inner, MessageEntityUrl),
            RichText::TextAutoEmail(inner) => styled!(inner, MessageEntityEmail),
            RichText::TextAutoPhone(inner) => styled!(inner, MessageEntityPhone),
            RichText::TextBankCard(inner) => styled!(inner, MessageEntityBankCard),
            RichText::TextTonAddress(inner) => styled!(inner, MessageEntityTonAddress),
            RichText::TextSubscript(inner) => self.rich(&inner.text),
            RichText::TextSuperscript(inner) => self.rich(&inner.text),
            RichText::TextMarked(inner) => self.rich(&inner.text),
            RichText::TextAnchor(inner) => self.rich(&inner.text),
            RichText::TextUrl(link) => {
                self.rich(&link.text);
                self.link(start, &link.url);
            }
            RichText::TextEmail(link) if plain(&link.text) == Some(&link.email) => styled!(link, MessageEntityEmail),
            RichText::TextEmail(link) => {
                self.rich(&link.text);
                self.link(start, &format!("mailto:{}", link.email));
            }
            RichText::TextPhone(link) if plain(&link.text) == Some(&link.phone) => styled!(link, MessageEntityPhone),
            RichText::TextPhone(link) => {
                self.rich(&link.text);
                self.link(start, &format!("tel:{}", link.phone));
            }
            RichText::TextMath(math) => self.code(&math.source),
            RichText::TextCustomEmoji(emoji) => {
                // An entity has a length: one without words stands for itself.
                self.push(if emoji.alt.is_empty() { "\u{FFFC}" } else { &emoji.alt });
                let document_id = emoji.document_id;
                self.mark(start, |offset, length| t::MessageEntityCustomEmoji { offset, length, document_id }.into());
            }
            RichText::TextMentionName(mention) => {
                self.rich(&mention.text);
                self.person(start, mention.user_id);
            }
            RichText::TextDate(date) => {
                self.rich(&date.text);
                self.mark(start, |offset, length| {
                    let t::TextDate { relative, short_time, long_time, short_date, long_date, day_of_week, date, .. } = **date;
                    let shown = t::MessageEntityFormattedDate {
                        relative,
                        short_time,
                        long_time,
                        short_date,
                        long_date,
                        day_of_week,
                        offset,
                        length,
                        date,
                    };
                    shown.into()
                });
            }
            // As it is now; what it was before is in the message's bytes.
            RichText::TextDiff(diff) => {
                self.rich(&diff.text);
                if self.text.len() > start.bytes {
                    self.mark(start, |offset, length| t::MessageEntityDiffInsert { offset, length }.into());
                } else {
                    self.rich(&diff.old_text);
                    self.mark(start, |offset, length| t::MessageEntityDiffDelete { offset, length }.into());
                }
            }
            RichText::TextButton(button) => self.button(&button.text, &button.r#type),
        }
    }
}

/// The text where nothing is marked in it.
fn plain(text: &RichText) -> Option<&String> {
    match text {
        RichText::TextPlain(plain) => Some(&plain.text),
        _ => None,
    }
}

fn title(chat: &enums::Chat) -> &str {
    match chat {
        enums::Chat::Empty(_) => "",
        enums::Chat::Chat(chat) => &chat.title,
        enums::Chat::Forbidden(chat) => &chat.title,
        enums::Chat::Channel(chat) => &chat.title,
        enums::Chat::ChannelForbidden(chat) => &chat.title,
        enums::Chat::Community(chat) => &chat.title,
        enums::Chat::CommunityForbidden(chat) => &chat.title,
    }
}

/// A number as the items of a list have it: `a`, `A`, `i`, `I`, or with any other kind in digits.
fn numeral(value: i32, kind: &str) -> String {
    const WORTH: [i32; 13] = [1000, 900, 500, 400, 100, 90, 50, 40, 10, 9, 5, 4, 1];
    const ROMAN: [&str; 13] = ["m", "cm", "d", "cd", "c", "xc", "l", "xl", "x", "ix", "v", "iv", "i"];
    let mut out = String::new();
    match kind.to_ascii_lowercase().as_str() {
        "a" if value > 0 => {
            let mut rest = value;
            while rest > 0 {
                out.insert(0, char::from(b'a' + u8::try_from((rest - 1) % 26).unwrap_or_default()));
                rest = (rest - 1) / 26;
            }
        }
        "i" if (1..4000).contains(&value) => {
            let mut rest = value;
            for (worth, sign) in WORTH.into_iter().zip(ROMAN) {
                while rest >= worth {
                    out.push_str(sign);
                    rest -= worth;
                }
            }
        }
        _ => {
            let _ = write!(out, "{value}");
        }
    }
    if kind.starts_with(|kind: char| kind.is_ascii_uppercase()) { out.to_ascii_uppercase() } else { out }
}

#[cfg(test)]
mod tests {
    use grammers_tl_types::{Deserializable, Serializable};

    use super::super::text::{EmojiIds, render};
    use super::*;

    /// A message without anything: both flags and the id, nobody, no date and no text.
    fn blank() -> t::Message {
        let peer = enums::Peer::from(t::PeerUser { user_id: 0 }).to_bytes();
        t::Message::from_bytes(&[&[0; 12], &peer[..], &[0; 8]].concat()).unwrap()
    }

    fn plain(text: &str) -> RichText {
        t::TextPlain { text: text.into() }.into()
    }

    fn concat(texts: Vec<RichText>) -> RichText {
        t::TextConcat { texts }.into()
    }

    fn bold(text: RichText) -> RichText {
        t::TextBold { text }.into()
    }

    fn link(text: &str, url: &str) -> RichText {
        t::TextUrl { text: plain(text), url: url.into(), webpage_id: 0 }.into()
    }

    fn paragraph(text: RichText) -> Block {
        t::PageBlockParagraph { text }.into()
    }

    fn caption(text: &str, credit: &str) -> enums::PageCaption {
        t::PageCaption { text: plain(text), credit: plain(credit) }.into()
    }

    fn item(text: RichText, checkbox: Option<bool>) -> enums::PageListItem {
        t::PageListItemText { checkbox: checkbox.is_some(), checked: checkbox == Some(true), text }.into()
    }

    fn numbered(text: &str, num: Option<&str>, value: Option<i32>) -> enums::PageListOrderedItem {
        let num = num.map(str::to_owned);
        t::PageListOrderedItemText { checkbox: false, checked: false, num, text: plain(text), value, r#type: None }.into()
    }

    fn cell(text: &str, header: bool) -> enums::PageTableCell {
        let text = (!text.is_empty()).then(|| plain(text));
        let cell = t::PageTableCell {
            header,
            align_center: false,
            align_right: false,
            valign_middle: false,
            valign_bottom: false,
            text,
            colspan: None,
            rowspan: None,
        };
        cell.into()
    }

    fn written(blocks: &[Block]) -> (String, Vec<Entity>) {
        let mut writer = Writer::default();
        writer.blocks(blocks);
        (writer.text, in_order(writer.entities))
    }

    /// The text with each piece that exports mark as `kind(piece)`.
    fn shown(blocks: &[Block]) -> String {
        let (text, entities) = written(blocks);
        let parts: Vec<serde_json::Value> = serde_json::from_str(&render(&text, &entities, &EmojiIds::Numbers).entities).unwrap();
        let piece = |part: &serde_json::Value| match part["type"].as_str().unwrap() {
            "plain" => part["text"].as_str().unwrap().to_owned(),
            kind => format!("{kind}({})", part["text"].as_str().unwrap()),
        };
        parts.iter().map(piece).collect()
    }

    #[test]
    fn blocks_stand_on_lines_of_their_own() {
        let photo = t::PageBlockPhoto { spoiler: false, photo_id: 1, caption: caption("a view", "by me"), url: None, webpage_id: None };
        let quote = t::PageBlockBlockquote { collapsed: true, text: plain("said"), caption: plain("somebody") };
        let code = t::PageBlockPreformatted { text: plain("a = 1;\n"), language: "rust".into() };
        let details = t::PageBlockDetails { open: false, blocks: vec![paragraph(plain("inside"))], title: plain("more") };
        let cover = t::PageBlockCover { cover: paragraph(plain("cover")) };
        let blocks = [
            t::PageBlockHeading1 { text: concat(vec![plain("👋 The "), link("site", "https://a.b"), plain(" today")]) }.into(),
            paragraph(concat(vec![plain("first "), bold(plain("second")), plain("")])),
            Block::Divider,
            paragraph(RichText::TextEmpty),
            photo.into(),
            quote.into(),
            code.into(),
            details.into(),
            cover.into(),
            Block::Unsupported,
        ];
        assert_eq!(
            shown(&blocks),
            "bold(👋 The )text_link(site)bold( today)\nfirst bold(second)\na view\nby me\nblockquote(said\nsomebody)\npre(a = 1;\n)\
             bold(more)\ninside\ncover"
        );
        let (text, entities) = written(&blocks);
        assert!(entities.contains(&t::MessageEntityBlockquote { collapsed: true, offset: 44, length: 13 }.into()), "{entities:?}");
        let before: usize = text.split("said").next().unwrap().encode_utf16().count();
        assert_eq!(before, 44, "offsets count UTF-16 units");
    }

    #[test]
    fn lists_and_tables() {
        let inner = t::PageBlockList { items: vec![item(plain("deep"), None), item(RichText::TextEmpty, None)] };
        let nested = t::PageListItemBlocks { checkbox: false, checked: false, blocks: vec![paragraph(plain("b")), inner.into()] };
        let list = t::PageBlockList {
            items: vec![item(bold(plain("a")), None), nested.into(), item(plain("c"), Some(true)), item(plain("d"), Some(false))],
        };
        assert_eq!(shown(&[list.into()]), "• bold(a)\n• b\n  • deep\n☑ c\n☐ d");
        let items = || vec![numbered("x", None, None), numbered("y", Some("2b"), Some(7)), numbered("z", None, None)];
        let ordered = |reversed, start, kind: Option<&str>| -> Block {
            t::PageBlockOrderedList { reversed, items: items(), start, r#type: kind.map(str::to_owned) }.into()
        };
        assert_eq!(shown(&[ordered(false, None, None)]), "1. x\n2b. y\n8. z");
        assert_eq!(shown(&[ordered(true, None, Some("I"))]), "III. x\n2b. y\nVI. z");
        assert_eq!(shown(&[ordered(false, Some(28), Some("a"))]), "ab. x\n2b. y\nh. z");
        let row =
            |cells: &[(&str, bool)]| t::PageTableRow { cells: cells.iter().map(|(text, header)| cell(text, *header)).collect() }.into();
        let rows = vec![row(&[("one", true), ("two", true)]), row(&[("", false), ("4", false)]), row(&[("", false), ("", true)])];
        let table = t::PageBlockTable { bordered: true, striped: false, compact: false, title: plain("Sums"), rows };
        assert_eq!(shown(&[table.into()]), "bold(Sums)\nbold(one) | bold(two)\n | 4");
    }

    #[test]
    fn marked_texts() {
        let mention = t::TextMentionName { text: plain("Ann"), user_id: 7 };
        let emoji = t::TextCustomEmoji { document_id: 5, alt: "🦀".into() };
        let diff = |new: &str, old: &str| -> RichText { t::TextDiff { text: plain(new), old_text: plain(old) }.into() };
        let email = |text: &str| -> RichText { t::TextEmail { text: plain(text), email: "a@b.c".into() }.into() };
        let texts = vec![
            t::TextItalic { text: plain("i") }.into(),
            t::TextFixed { text: plain("c") }.into(),
            t::TextSpoiler { text: plain("s") }.into(),
            t::TextStrike { text: plain("x") }.into(),
            t::TextUnderline { text: plain("u") }.into(),
            bold(link("same words", "https://a.b")),
            link("https://a.b", "https://a.b"),
            mention.into(),
            emoji.into(),
            t::TextMath { source: "x^2".into() }.into(),
            t::TextMention { text: plain("@ann") }.into(),
            t::TextHashtag { text: plain("#tag") }.into(),
            email("a@b.c"),
            email("write"),
            t::TextSuperscript { text: plain("up") }.into(),
            diff("new", "old"),
            diff("", "gone"),
        ];
        assert_eq!(
            shown(&[paragraph(concat(texts))]),
            "italic(i)code(c)spoiler(s)strikethrough(x)underline(u)text_link(same words)link(https://a.b)mention_name(Ann)\
             custom_emoji(🦀)code(x^2)mention(@ann)hashtag(#tag)email(a@b.c)text_link(write)upunknown(new)unknown(gone)"
        );
    }

    #[test]
    fn what_stands_in_the_message_is_not_said_twice() {
        let text = |own: &str, blocks: Vec<Block>| {
            let rich = t::RichMessage { rtl: false, part: false, blocks, photos: vec![], documents: vec![] };
            let mut message = blank();
            message.message = own.into();
            message.entities = Some(vec![t::MessageEntityItalic { offset: 0, length: 1 }.into()]);
            message.rich_message = Some(rich.into());
            let (text, entities) = whole_text(&message);
            (text.into_owned(), entities.iter().map(Entity::offset).collect::<Vec<_>>())
        };
        let blocks = || {
            let list = t::PageBlockList { items: vec![item(plain("one two"), None), item(bold(plain("three")), None)] };
            vec![list.into()]
        };
        assert_eq!(text("", blocks()), ("• one two\n• three".into(), vec![12]));
        assert_eq!(text("one two three", blocks()), ("• one two\n• three".into(), vec![12]));
        assert_eq!(text("See: one two\nthree!", blocks()), ("See: one two\nthree!\n• one two\n• three".into(), vec![0, 32]));
        assert_eq!(text("See: one two\nthree", blocks()), ("See: one two\nthree".into(), vec![0]));
        assert_eq!(text("own", vec![Block::Divider]), ("own".into(), vec![0]));
    }

    #[test]
    fn what_is_nested_without_end_ends() {
        let mut text = plain("innermost");
        let mut block = paragraph(plain("innermost"));
        for _ in 0..5_000 {
            text = bold(text);
            block = t::PageBlockDetails { open: false, blocks: vec![block], title: RichText::TextEmpty }.into();
        }
        assert_eq!(written(&[paragraph(text), block]).0, "…\n…");
    }
}
