//! What is missing of a chat's history is read, in several stretches at once.

use std::sync::atomic::Ordering;

use futures::future::try_join_all;
use grammers_tl_types::{enums, types};

use super::Chat;
use crate::model::coverage::{CoveredRange, IdRange};
use crate::model::peer::PeerKind;
use crate::model::reason::Reason;
use crate::source::telegram::error::{TelegramError, Trouble};
use crate::source::telegram::events::Event;
use crate::source::telegram::export::batch::Batch;
use crate::source::telegram::export::history::{Mode, PAGE, Page, Reader};

/// A stretch with more messages than this is read in several parts at once.
const SPLIT_ABOVE: u64 = 1_000;
/// Messages that a part should have at least.
const PART_MESSAGES: u64 = 500;

impl Chat {
    /// Reads what is missing.
    pub(super) async fn read(&self, mode: Mode) -> Result<(), Trouble> {
        self.findings().own_only = mode == Mode::Own;
        let options = &self.run.options;
        let top = match self.top() {
            Some(top) => top,
            None => {
                let page = self.reader(mode, None).newest().await?;
                self.findings().server_before = page.count;
                page.messages.iter().map(enums::Message::id).max().unwrap_or_default()
            }
        };
        let whole = if options.from.is_some() || options.till.is_some() {
            match self.reader(mode, None).between(options.from, options.till, top).await? {
                Some(range) => range,
                None => return Ok(()),
            }
        } else {
            IdRange { first: 1, last: top.into() }
        };
        // Ids that were paged over for the account's own messages say nothing about the others.
        let mut done = self.run.state.after_pending(self.peer()).ranges;
        if mode == Mode::Own {
            done.merge(&self.before.own_ranges);
        }
        for gap in done.gaps(whole.first, whole.last) {
            // The list of chats says what the newest is; by now there may be newer ones.
            let open = gap.last == i64::from(top) && options.till.is_none();
            for (range, part) in self.in_ranges(gap) {
                self.fill(mode, range, part, open && part.last == gap.last).await?;
            }
        }
        Ok(())
    }

    /// Cuts a gap by the account's message ranges; channels have a space of ids of their own.
    pub(super) fn in_ranges(&self, gap: IdRange) -> Vec<(Option<&types::MessageRange>, IdRange)> {
        if self.peer().kind == PeerKind::Channel || self.run.plan.ranges.len() < 2 || !self.run.api.has_takeout() {
            return vec![(None, gap)];
        }
        let mut cut: Vec<(Option<&types::MessageRange>, IdRange)> = self
            .run
            .plan
            .ranges
            .iter()
            .map(|range| {
                let first = gap.first.max(range.min_id.into());
                (Some(range), IdRange { first, last: gap.last.min(range.max_id.into()) })
            })
            .filter(|(_, part)| part.first <= part.last)
            .collect();
        cut.sort_by_key(|(_, part)| part.first);
        cut
    }

    /// Reads one gap, in several parts at once where it is large; with `open` what is newer than its end, too.
    async fn fill(&self, mode: Mode, range: Option<&types::MessageRange>, gap: IdRange, open: bool) -> Result<(), Trouble> {
        let (Ok(first), Ok(last)) = (i32::try_from(gap.first), i32::try_from(gap.last)) else { return Ok(()) };
        let page = Reader { beyond: open, ..self.reader(mode, range) }.upwards(first, last).await?;
        let count = page.count;
        {
            let mut findings = self.findings();
            findings.server_before = findings.server_before.or(count);
        }
        // How many of the chat's messages may lie here: all that are not known yet.
        let expected = count.unwrap_or_default().saturating_sub(self.before.messages.len() as u64);
        let full = page.messages.len() >= usize::try_from(PAGE).unwrap_or_default();
        let reached = page.messages.last().map_or(last, enums::Message::id);
        if !full || expected <= SPLIT_ABOVE || reached >= last {
            return self.stretch(mode, range, gap, open, Some(page)).await;
        }
        // The first page's messages tell how dense the ids are, but only there; parts of equal width even that out well enough.
        let parts = (expected / PART_MESSAGES).clamp(2, self.run.api.client.caps().message_requests.max(2) as u64);
        let width = (i64::from(last) - i64::from(reached)) / i64::try_from(parts).unwrap_or(1) + 1;
        let mut bounds = vec![(IdRange { first: first.into(), last: reached.into() }, Some(page))];
        let mut next = i64::from(reached) + 1;
        while next <= i64::from(last) {
            let end = (next + width - 1).min(last.into());
            bounds.push((IdRange { first: next, last: end }, None));
            next = end + 1;
        }
        let is_open = |ids: IdRange| open && ids.last == gap.last;
        try_join_all(bounds.into_iter().map(|(ids, page)| self.stretch(mode, range, ids, is_open(ids), page))).await?;
        Ok(())
    }

    /// Reads the ids of one stretch page after page. The next page is under way while one is worked on.
    async fn stretch(
        &self,
        mode: Mode,
        range: Option<&types::MessageRange>,
        ids: IdRange,
        open: bool,
        first: Option<Page>,
    ) -> Result<(), Trouble> {
        let _turn = self.run.stretches.acquire().await.map_err(|_| TelegramError::Stopped)?;
        let (Ok(mut from), Ok(last)) = (i32::try_from(ids.first), i32::try_from(ids.last)) else { return Ok(()) };
        let reader = Reader { beyond: open, ..self.reader(mode, range) };
        let mut batch = Batch::default();
        let (mut pages, mut ours) = (0, 0);
        let mut ready = first;
        let result = loop {
            let page = match ready.take() {
                Some(page) => page,
                None => match reader.upwards(from, last).await {
                    Ok(page) => page,
                    Err(error) => break Err(Trouble::Call(error)),
                },
            };
            pages += 1;
            {
                let mut findings = self.findings();
                findings.server_after = page.count.or(findings.server_after);
                findings.pts = page.pts.or(findings.pts);
            }
            let end = match page.messages.last().map(enums::Message::id) {
                // The newest of the stretch is here, or nothing more came: it is complete up to its end.
                None => last.max(from.saturating_sub(1)),
                Some(id) => id,
            };
            let upto = if end < last { last } else { i32::MAX };
            let more = !page.messages.is_empty() && end < upto && (end < last || (open && page.newer));
            let next = async { if more { Some(reader.upwards(end.saturating_add(1), upto).await) } else { None } };
            // The account's own messages may be there from a time when nothing else could be had.
            ours += page.messages.len() as u64;
            let mut news = page.messages;
            news.retain(|message| self.is_news(message));
            let (next, added) = tokio::join!(next, self.add(&mut batch, &news));
            if let Err(error) = added {
                break Err(error.into());
            }
            let mut readable = i64::from(from);
            if let Some(gap) = page.unreadable {
                // Not covered: a later version, or Telegram itself, may do better.
                self.note_missing(Reason::Unreadable { first: gap.first, last: gap.last });
                readable = gap.last + 1;
            }
            batch.cover(mode, readable, end.into());
            from = end.saturating_add(1);
            match next {
                None => break Ok(()),
                Some(Ok(page)) => ready = Some(page),
                Some(Err(error)) => break Err(Trouble::Call(error)),
            }
        };
        // What was read is kept, whatever came after it.
        self.run.flush(&self.log, &mut batch).await?;
        if i64::from(from) > ids.first {
            let covered = CoveredRange {
                ids: IdRange { first: ids.first, last: i64::from(from) - 1 },
                pages,
                joined: true,
                server_before: None,
                server_after: None,
                ours,
            };
            self.findings().ranges.push(covered);
        }
        result
    }

    pub(super) fn is_news(&self, message: &enums::Message) -> bool {
        self.before.messages.get(message.id()).is_none_or(|print| print != self.run.prints.of(message))
    }

    pub(crate) async fn add(&self, batch: &mut Batch, messages: &[enums::Message]) -> Result<(), TelegramError> {
        self.run.add_messages(&self.log, batch, messages).await?;
        self.fetched.fetch_add(messages.len() as u64, Ordering::Relaxed);
        self.run.tell(Event::Messages { count: messages.len() as u64 });
        self.run.flush_peers(false).await
    }
}
