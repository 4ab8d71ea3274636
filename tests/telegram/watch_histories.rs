//! Random histories of an account that `watch` follows: what the vault holds in the end is what the server did.
//!
//! `TGVAULT_HISTORIES=2000` tries more of them; one that ends badly has its seed in the test's output, and `TGVAULT_SEED=17` has it again.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::time::Duration;

use grammers_tl_types::{Deserializable, enums};
use tgvault::model::record::{Raw, Record};
use tgvault_test_support::telegram::{Effect, Fault, Kind, Mutation, Options, Peer, Push, TelegramServer, When};

use crate::export::{assert_all_of, readable};
use crate::harness::{Vault, peer};
use crate::program::Program;
use crate::watch::{Watching, said, small};

/// What may go wrong in a history.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Luck {
    /// All is pushed, some of it twice: every version has to be there.
    Good,
    /// Pushes are lost or late, lines break, and the process is killed. Nothing is deleted: where the push of a deletion is lost, a
    /// message that was heard may stay.
    Bad,
    /// The same, and more is missed than the server tells one by one.
    TooLong,
}

/// What the server did with a message that was sent in this history.
#[derive(Default)]
struct Life {
    texts: Vec<String>,
    deleted: bool,
    reacted: bool,
    /// Something happened to it while nobody listened.
    unheard: bool,
}

/// Numbers that look random, the same for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        // The finalizer of SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }
}

/// Says which history it was when it ends badly.
struct Told(u64, Luck);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ =
                writeln!(io::stderr(), "the history of seed {0} ({1:?}) ended badly; try it again with TGVAULT_SEED={0}", self.0, self.1);
        }
    }
}

struct History {
    program: Program,
    dice: Dice,
    luck: Luck,
    chats: Vec<Peer>,
    lives: BTreeMap<(Peer, i32), Life>,
    listening: bool,
}

impl History {
    fn new(seed: u64) -> Self {
        let luck = [Luck::Good, Luck::Bad, Luck::TooLong][(seed % 3) as usize];
        let most = if luck == Luck::TooLong { 12 } else { 10_000 };
        let program =
            Program::logged_in(Options { seed, messages: 120, difference_limit: most, channel_difference_limit: most, ..small() });
        let writes = |kind: &Kind| !matches!(kind, Kind::Saved | Kind::Deleted);
        let chats: Vec<Peer> = readable(&program.server).into_iter().filter(|chat| writes(&chat.kind)).map(|chat| chat.peer).collect();
        assert!(
            chats.iter().any(|chat| matches!(chat, Peer::Channel(_))) && chats.iter().any(|chat| !matches!(chat, Peer::Channel(_))),
            "{chats:?}"
        );
        Self { program, dice: Dice(seed), luck, chats, lives: BTreeMap::new(), listening: true }
    }

    fn server(&self) -> &TelegramServer {
        &self.program.server
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.dice.below(100) < percent
    }

    /// A message of this history that is still there.
    fn living(&mut self) -> Option<(Peer, i32)> {
        let living: Vec<_> = self.lives.iter().filter(|(_, life)| !life.deleted).map(|(key, _)| *key).collect();
        (!living.is_empty()).then(|| living[self.dice.below(living.len())])
    }

    /// One thing happens in the account.
    fn happen(&mut self, number: usize) {
        let what = self.dice.below(100);
        let listening = self.listening;
        match (what, self.living()) {
            (0..25, Some((peer, id))) => {
                let text = format!("edit {number}");
                self.server().mutate(&Mutation::Edit { peer, id, text: text.clone() }).unwrap();
                let life = self.lives.get_mut(&(peer, id)).unwrap();
                life.texts.push(text);
                life.unheard |= !listening;
            }
            (25..40, Some((peer, id))) if self.luck != Luck::TooLong => {
                self.server().mutate(&Mutation::Delete { peer, ids: vec![id] }).unwrap();
                let life = self.lives.get_mut(&(peer, id)).unwrap();
                life.deleted = true;
                life.unheard |= !listening;
            }
            (40..50, Some((peer, id))) => {
                self.server().mutate(&Mutation::React { peer, id, emoji: "\u{1f44d}".into() }).unwrap();
                let life = self.lives.get_mut(&(peer, id)).unwrap();
                life.reacted = true;
                life.unheard |= !listening;
            }
            _ => {
                let peer = self.chats[self.dice.below(self.chats.len())];
                let text = format!("message {number}");
                let send = Mutation::Send { peer, text: text.clone(), out: false, reply_to: None, file: None };
                let id = self.server().mutate(&send).unwrap().ids[0];
                self.lives.insert((peer, id), Life { texts: vec![text], unheard: !listening, ..Life::default() });
            }
        }
    }

    /// Something goes wrong, if it may.
    fn mishap(&mut self) {
        if self.luck == Luck::Good {
            self.server().spoil_pushes([Push::Twice]);
            return;
        }
        let spoiled = [Push::Lost, Push::Twice, Push::AfterNext, Push::TooLong];
        let method = ["messages.getDialogs", "updates.getDifference", "updates.getChannelDifference", "connect"];
        let at = self.dice.below(8);
        match (spoiled.get(at), method.get(at.saturating_sub(4))) {
            (Some(push), _) => self.server().spoil_pushes([*push]),
            (None, Some(method)) => {
                self.server().add_fault(Fault { when: When { times: Some(1), ..When::method(method) }, then: Effect::Cut });
            }
            (None, None) => {}
        }
    }

    /// Lives all of it, and gives what the vault holds then.
    fn live(&mut self) -> Vault {
        let flush = if self.chance(70) { "0" } else { "1h" };
        let mut watching = Watching::start(&self.program, flush);
        for number in 0..60 {
            if self.chance(15) {
                self.mishap();
            }
            self.happen(number);
            if self.chance(30) {
                std::thread::sleep(Duration::from_millis(self.dice.below(80) as u64));
            }
            if number == 30 {
                self.server().clear_faults();
                if self.luck == Luck::Good {
                    assert_eq!(watching.stop(), 0)
                } else {
                    watching.kill()
                }
                self.listening = false;
                (100..104).for_each(|number| self.happen(number));
                watching = Watching::start(&self.program, flush);
                self.listening = true;
            }
        }
        self.server().clear_faults();
        assert_eq!(watching.stop(), 0);
        self.program.restored()
    }

    fn check(&self, vault: &Vault) {
        assert_all_of(self.server(), vault);
        let chats: BTreeSet<Peer> = self.lives.keys().map(|(chat, _)| *chat).collect();
        for chat in chats {
            let records = vault.records(peer(chat));
            let now = vault.messages(peer(chat));
            for ((_, id), life) in self.lives.iter().filter(|((own, _), _)| *own == chat) {
                let of = |record: &&Record| match record {
                    Record::Message(message) => message.id == i64::from(*id),
                    Record::Deletion(deletion) => deletion.id == i64::from(*id),
                    Record::Event(_) => false,
                };
                let own: Vec<&Record> = records.iter().filter(of).collect();
                let is_message = |record: &&&Record| matches!(record, Record::Message(_));
                let stored: Vec<String> =
                    own.iter().filter_map(|record| if let Record::Message(message) = record { said(message) } else { None }).collect();
                let all = format!("{chat:?} {id}: the server said {:?}, stored is {stored:?}", life.texts);
                assert!(stored.iter().all(|text| life.texts.contains(text)), "{all}");
                if life.deleted {
                    let has_end = own.iter().any(|record| matches!(record, Record::Deletion(_)));
                    assert!(has_end || own.iter().filter(is_message).count() == 0, "its end is missing: {all}");
                } else {
                    let record = &now[&i64::from(*id)];
                    assert_eq!(said(record).as_ref(), life.texts.last(), "{all}");
                }
                if self.luck != Luck::Good || life.unheard {
                    continue;
                }
                // Nothing that was pushed is missing, in the order in which it happened.
                let mut rest = stored.iter();
                assert!(life.texts.iter().all(|text| rest.any(|stored| stored == text)), "a version is missing: {all}");
                if life.reacted && !life.deleted {
                    let Some(Raw::Tl { bytes, .. }) = &now[&i64::from(*id)].raw else { panic!("no bytes: {all}") };
                    let stored = enums::Message::from_bytes(bytes).unwrap();
                    let reactions = |message: enums::Message| match message {
                        enums::Message::Message(message) => message.reactions,
                        _ => None,
                    };
                    assert_eq!(reactions(stored), reactions(self.server().message(chat, *id).unwrap()), "{all}");
                }
            }
        }
    }
}

#[test]
fn random_histories_end_as_the_server_has_them() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seeds = match number("TGVAULT_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("TGVAULT_HISTORIES").unwrap_or(4),
    };
    for seed in seeds {
        let mut history = History::new(seed);
        let told = Told(seed, history.luck);
        let vault = history.live();
        history.check(&vault);
        drop(told);
    }
}
