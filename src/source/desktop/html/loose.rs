//! Messages of pages that an editor or a script wrote anew: parts that lost their classes, elements that lost their numbers.

use super::dom::{Element, Node};

/// The part of a message that holds its time and its text: what is not closed before it may hold it, and it may have lost its class.
pub fn body<'e, 'a>(message: &'e Element<'a>) -> &'e Element<'a> {
    let direct = message.elements().find(|child| child.has_class("body"));
    direct.or_else(|| message.find("body")).or_else(|| holder(message)).unwrap_or(message)
}

/// The element that has a time, a text or media directly in it.
fn holder<'e, 'a>(element: &'e Element<'a>) -> Option<&'e Element<'a>> {
    let holds = |class| element.elements().any(|child| child.has_class(class));
    if ["text", "date", "media_wrap"].into_iter().any(holds) {
        return Some(element);
    }
    element.elements().find_map(holder)
}

/// The nodes of a message's text, each with what follows, where no element is called its text: what lies in `inside` without a class.
/// All that Telegram Desktop writes there has one.
pub fn text<'e, 'a>(inside: &'e Element<'a>) -> Vec<(&'e Node<'a>, Option<&'e Node<'a>>)> {
    let is_bare = |node: &Node<'_>| matches!(node, Node::Element(element) if element.attribute("class").is_none());
    if inside.own_text().is_empty() {
        let is_block = |element: &&Element<'_>| (element.is("div") || element.is("p")) && !element.text().is_empty();
        let mut bare = inside.elements().filter(|element| element.attribute("class").is_none());
        if let Some(block) = bare.find(is_block) {
            return block.nodes().collect();
        }
    }
    inside.nodes().filter(|(node, _)| matches!(node, Node::Text(_)) || is_bare(node)).collect()
}

/// The elements that look like messages and are not among `starts`, which ascend: they have no number by which anybody could know them.
/// Lines that say that there are no messages have none either.
pub fn unnumbered<'e, 'a>(element: &'e Element<'a>, starts: &[usize], found: &mut Vec<&'e Element<'a>>) {
    let is_message = element.has_class("message") && (element.has_class("default") || element.has_class("service"));
    let says_none = || element.has_class("service") && element.attribute("id").is_none() && element.text().starts_with("No ");
    if is_message && starts.binary_search(&element.start).is_err() && !says_none() {
        found.push(element);
    }
    element.elements().for_each(|child| unnumbered(child, starts, found));
}
