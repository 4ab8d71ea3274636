//! Where the server's numbers disagree with what it served: the chat is in doubt. Coverage says so, the run ends with code 3, and the next
//! one reads the chat first and as a whole, whatever the budget for reading again is. A count that stays wrong when the chat was read
//! as a whole twice more is settled: coverage goes on saying so, but the run has nothing left to do about it.

use grammers_tl_types::{enums, functions, types};

use super::Chat;
use crate::model::coverage::Verdict;
use crate::model::reason::Reason;
use crate::source::telegram::error::Trouble;
use crate::source::telegram::export::history::Mode;
use crate::source::telegram::stored::{Doubt, Effect};
use crate::source::telegram::tl::peer_of;
use crate::source::telegram::wire::CallError;

impl Chat {
    /// Reads all of the chat again where its numbers disagreed in an earlier run, until that tells nothing new.
    pub(super) async fn read_in_doubt(&self) -> Result<(), Trouble> {
        let open = self.before.doubt.is_some_and(|doubt| !doubt.was_read_again());
        let Some(last) = self.before.ranges.last().and_then(|last| i32::try_from(last).ok()).filter(|_| open) else { return Ok(()) };
        self.reread(1, last).await?;
        self.findings().reread_in_doubt = true;
        Ok(())
    }

    /// Holds the newest message that the list of chats names against what was served. One that was deleted meanwhile is in neither.
    pub(super) async fn check_newest(&self) -> Result<(), Trouble> {
        let options = &self.run.options;
        if self.mode() != Mode::All || self.findings().own_only || options.from.is_some() || options.till.is_some() {
            return Ok(());
        }
        // What this version cannot read is told already.
        if !self.findings().missing.is_empty() {
            return Ok(());
        }
        let Some(listed) = self.dialog.top.filter(|&top| !self.has(top)) else { return Ok(()) };
        // It may have been held back when its turn came.
        let held = self.run.state.after_pending(self.peer()).messages;
        self.reread(held.ids(1, listed).last().map_or(1, |id| id.saturating_add(1)), listed).await?;
        if self.has(listed) {
            return Ok(());
        }
        let withheld = match self.listed_now().await {
            Ok(Some(now)) if now > listed => {
                self.heard_of(now);
                self.read(Mode::All).await?;
                Some(now).filter(|&now| !self.has(now))
            }
            Ok(now) => now.filter(|&now| !self.has(now)),
            // A server that does not tell leaves the list's word.
            Err(error) if error.rpc().is_some() => Some(listed),
            Err(error) => return Err(error.into()),
        };
        self.findings().withheld = withheld;
        Ok(())
    }

    fn has(&self, id: i32) -> bool {
        self.run.state.after_pending(self.peer()).messages.contains(id)
    }

    /// The newest message that the list of chats names by now.
    async fn listed_now(&self) -> Result<Option<i32>, CallError> {
        let Some(peer) = self.run.peers.input(self.peer()) else { return Ok(None) };
        let peers = vec![types::InputDialogPeer { peer }.into()];
        let enums::messages::PeerDialogs::Dialogs(found) = self.run.api.ask(&functions::messages::GetPeerDialogs { peers }).await?;
        let tops = found.dialogs.iter().filter_map(|dialog| match dialog {
            enums::Dialog::Dialog(dialog) if peer_of(&dialog.peer) == self.peer() => Some(dialog.top_message),
            _ => None,
        });
        Ok(tops.max().filter(|&top| top > 0))
    }

    /// Remembers whether the chat is in doubt by what its coverage says, and counts it among those that could not be read.
    pub(super) fn weigh(&self, verdict: &Verdict, mark: Option<u64>) {
        let disagreements: Vec<Reason> = match verdict {
            Verdict::Incomplete(reasons) => reasons.iter().filter(|reason| reason.is_disagreement()).cloned().collect(),
            Verdict::Complete | Verdict::Unknown => vec![],
        };
        let (missing, read_again) = {
            let findings = self.findings();
            (!findings.missing.is_empty(), findings.reread_in_doubt)
        };
        let doubt = self.doubt(&disagreements, read_again);
        let in_part =
            matches!(verdict, Verdict::Incomplete(reasons) if reasons.iter().any(|reason| matches!(reason, Reason::InPart { .. })));
        if (doubt.is_some_and(|doubt| !doubt.is_settled()) || in_part) && !missing {
            self.run.ledger.chats_failed_too(1);
        }
        if doubt != self.before.doubt {
            let marks: Vec<u64> = self.log.marks().into_iter().chain(mark).collect();
            self.run.state.when_all(&marks, Effect::Doubted { peer: self.peer(), doubt });
        }
    }

    /// The doubt that these reasons leave; `read_again` says that all of the chat was read again in this run.
    pub(super) fn doubt(&self, disagreements: &[Reason], read_again: bool) -> Option<Doubt> {
        if disagreements.is_empty() {
            return None;
        }
        let about = self.run.prints.of_bytes(&serde_json::to_vec(disagreements).unwrap_or_default());
        let readings = self.before.doubt.filter(|before| before.about == about).map_or(0, |before| before.readings);
        let of_count = disagreements.iter().all(|reason| matches!(reason, Reason::NotReturned { .. } | Reason::CountedFewer { .. }));
        let fewer = disagreements.iter().find_map(|reason| match reason {
            Reason::CountedFewer { count } => Some(*count),
            _ => None,
        });
        let readings = readings.saturating_add(read_again.into());
        Some(Doubt { about, readings, of_count, fewer: fewer.unwrap_or_default() })
    }
}
