//! Listening to an account: a task that stays connected, takes in what Telegram pushes, and asks for what was missed on the way.
//!
//! `grammers-session`'s message boxes put updates in order, drop what comes twice, notice gaps and say which difference to ask for.
//! Nothing rests on them: they begin anew whenever they are in doubt, and the runs that store things find what happened by counters
//! of their own. What they are for is to have a content before it is gone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use grammers_session::updates::{Gap, MessageBoxes, PrematureEndReason, UpdateAndPeers, UpdatesLike};
use grammers_tl_types::{Deserializable, enums, functions, types};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::timeout;

use super::account::{Account, now};
use super::error::{TelegramError, ends_session};
use super::heard::Heard;
use super::wire::{CallError, Client, Pushed};

/// Before Telegram is asked again after a failure; doubled up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A channel in which nothing was heard for so long is forgotten by the boxes, where they would ask for each of them again and again.
const QUIET: Duration = Duration::from_secs(10 * 60);

/// Events in one answer of a channel.
const CHANNEL_PAGE: i32 = 100;

/// What has been heard so far, as far as whoever waits needs to know.
#[derive(Clone, Debug, Default)]
pub struct Stir {
    /// When the first of it came; `None` where there is nothing.
    pub since: Option<Instant>,
    /// Bytes of it.
    pub bytes: usize,
    /// Whether something may have been missed: it should be looked for soon.
    pub is_in_doubt: bool,
    /// Whether updates can come just now.
    pub is_connected: bool,
    /// Whether listening has come to an end: [`Listener::end`] says why.
    pub has_ended: bool,
}

struct Shared {
    account: String,
    heard: Mutex<Heard>,
    stir: watch::Sender<Stir>,
    end: Mutex<Option<TelegramError>>,
    /// Those who wait until everything on its way is here.
    settling: (mpsc::UnboundedSender<oneshot::Sender<()>>, tokio::sync::Mutex<mpsc::UnboundedReceiver<oneshot::Sender<()>>>),
}

/// Listens until it is dropped.
pub struct Listener {
    shared: Arc<Shared>,
    task: tokio::task::AbortHandle,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Listener {
    /// Begins to listen. What is pushed from now on is heard.
    pub fn start(account: &Account) -> Self {
        let stir = watch::Sender::new(Stir::default());
        let (sender, receiver) = mpsc::unbounded_channel();
        let settling = (sender, tokio::sync::Mutex::new(receiver));
        let shared = Shared { account: account.name.clone(), heard: Mutex::default(), stir, end: Mutex::default(), settling };
        let shared = Arc::new(shared);
        let (client, pushed) = (account.client.clone(), account.client.updates());
        let task = account.threads.runtime().spawn(listen(client, pushed, shared.clone())).abort_handle();
        Self { shared, task }
    }

    /// How much there is, and word of every change.
    pub fn stir(&self) -> watch::Receiver<Stir> {
        self.shared.stir.subscribe()
    }

    /// Waits until what Telegram has pushed so far is heard, at most for so long.
    pub async fn settle(&self, patience: Duration) {
        let (settled, done) = oneshot::channel();
        if self.shared.settling.0.send(settled).is_ok() {
            let _ = timeout(patience, done).await;
        }
    }

    /// Takes out what was heard.
    pub fn take(&self) -> Heard {
        let heard = self.shared.heard().take_out();
        self.shared.stir.send_modify(|stir| (stir.since, stir.bytes, stir.is_in_doubt) = (None, 0, false));
        heard
    }

    /// Says that a run has ended: of what came meanwhile, the next one asks whether it is still there.
    pub fn run_ended(&self) {
        self.shared.heard().doubt();
    }

    /// Puts back what was taken out and could not be stored.
    pub fn put_back(&self, heard: Heard) {
        self.shared.heard().put_back(heard);
        self.shared.stirred();
    }

    /// Why listening has ended, if it has.
    pub fn end(&self) -> Option<TelegramError> {
        self.shared.end.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Shared {
    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody who wants to know when everything on its way is here.
    async fn asked_to_settle(&self) -> oneshot::Sender<()> {
        match self.settling.1.lock().await.recv().await {
            Some(settled) => settled,
            None => std::future::pending().await,
        }
    }

    /// Tells whoever waits what there is.
    fn stirred(&self) {
        let (is_empty, bytes) = {
            let heard = self.heard();
            (heard.is_empty(), heard.bytes())
        };
        self.stir.send_if_modified(|stir| {
            let since = if is_empty { None } else { stir.since.or_else(|| Some(Instant::now())) };
            let is_new = (stir.since, stir.bytes) != (since, bytes);
            (stir.since, stir.bytes) = (since, bytes);
            is_new
        });
    }

    fn take_in(&self, (updates, users, chats): UpdateAndPeers) {
        self.heard().take_in(updates.into_iter().map(|(update, _)| update).collect(), users, chats, now());
        self.stirred();
    }

    /// Takes note that something may have been missed.
    fn doubt(&self) {
        self.heard().stir();
        self.stirred();
        self.stir.send_if_modified(|stir| !std::mem::replace(&mut stir.is_in_doubt, true));
    }

    fn connected(&self, is_connected: bool) {
        self.stir.send_if_modified(|stir| std::mem::replace(&mut stir.is_connected, is_connected) != is_connected);
    }
}

/// Listens; where what a server sends breaks the library that reads it, anew.
async fn listen(client: Client, pushed: broadcast::Receiver<Pushed>, shared: Arc<Shared>) {
    let mut next = Some(pushed);
    let error = loop {
        let ear = Ear {
            pushed: next.take().unwrap_or_else(|| client.updates()),
            client: client.clone(),
            shared: shared.clone(),
            boxes: MessageBoxes::new(),
            heard_in: HashMap::new(),
            hashes: HashMap::new(),
            pause: FIRST_PAUSE,
        };
        // A task of its own: the library's panic is an error here.
        let mut task = AbortOnDrop(tokio::spawn(ear.run()));
        match (&mut task.0).await {
            Ok(error) => break error,
            Err(error) => tracing::warn!(%error, "the updates could not be followed; following them anew"),
        }
        shared.doubt();
        tokio::time::sleep(FIRST_PAUSE).await;
    };
    *shared.end.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    shared.stir.send_modify(|stir| (stir.has_ended, stir.is_connected) = (true, false));
}

struct AbortOnDrop(tokio::task::JoinHandle<TelegramError>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Where the next turn begins.
enum Turn {
    On,
    /// The boxes are not to be trusted: from where the account is now.
    Anew,
}

struct Ear {
    client: Client,
    pushed: broadcast::Receiver<Pushed>,
    shared: Arc<Shared>,
    boxes: MessageBoxes,
    /// When something was last heard in each channel.
    heard_in: HashMap<i64, Instant>,
    /// By what channels are asked for, as far as updates told.
    hashes: HashMap<i64, i64>,
    pause: Duration,
}

impl Ear {
    /// Listens until the login is gone; gives what Telegram said.
    async fn run(mut self) -> TelegramError {
        loop {
            match self.turn().await {
                Ok(Turn::On) => {}
                Ok(Turn::Anew) => {
                    self.boxes = MessageBoxes::new();
                    self.shared.doubt();
                }
                Err(error) if ends_session(&error) => {
                    return TelegramError::from_call(&self.shared.account, "listening to the account", error);
                }
                Err(error) => {
                    tracing::info!(%error, "Telegram cannot be listened to just now");
                    self.shared.connected(self.client.is_connected());
                    let wait = error.rpc().and_then(|rpc| rpc.wait()).unwrap_or_default();
                    tokio::time::sleep(self.pause.max(wait)).await;
                    self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    async fn turn(&mut self) -> Result<Turn, CallError> {
        if self.boxes.is_empty() || !self.client.is_connected() {
            return self.connect().await;
        }
        let deadline = self.boxes.check_deadlines();
        if let Some(request) = self.boxes.get_difference() {
            return self.account_difference(request).await;
        }
        if let Some(request) = self.boxes.get_channel_difference() {
            return self.channel_difference(request).await;
        }
        let shared = self.shared.clone();
        tokio::select! {
            pushed = self.pushed.recv() => match pushed {
                Ok(pushed) => self.pushed(pushed),
                Err(broadcast::error::RecvError::Lagged(_)) => self.gap(UpdatesLike::ConnectionClosed),
                Err(broadcast::error::RecvError::Closed) => return Err(CallError::Closed),
            },
            settled = shared.asked_to_settle() => self.settle(settled).await?,
            () = tokio::time::sleep_until(deadline.into()) => {}
        }
        Ok(Turn::On)
    }

    fn pushed(&mut self, pushed: Pushed) {
        match pushed {
            Pushed::Updates(bytes) => match enums::Updates::from_bytes(&bytes) {
                Ok(updates) => self.updates(updates),
                // Of a later layer: whatever it was, those who read the chats find it.
                Err(_) => self.gap(UpdatesLike::MalformedUpdates),
            },
            Pushed::Lost => self.gap(UpdatesLike::ConnectionClosed),
        }
    }

    /// Takes in what is on its way: an answer comes behind what was pushed before it.
    async fn settle(&mut self, settled: oneshot::Sender<()>) -> Result<(), CallError> {
        let enums::updates::State::State(state) = self.client.call(&functions::updates::GetState {}).await?;
        loop {
            match self.pushed.try_recv() {
                Ok(pushed) => self.pushed(pushed),
                Err(broadcast::error::TryRecvError::Lagged(_)) => self.gap(UpdatesLike::ConnectionClosed),
                Err(_) => break,
            }
        }
        if self.boxes.session_state().pts != state.pts {
            self.shared.doubt();
        }
        // Whoever asked may have lost patience.
        let _ = settled.send(());
        Ok(())
    }

    /// Connects, which lets updates come, and says where the account is.
    async fn connect(&mut self) -> Result<Turn, CallError> {
        self.shared.connected(false);
        let enums::updates::State::State(state) = self.client.call(&functions::updates::GetState {}).await?;
        self.pause = FIRST_PAUSE;
        if self.boxes.is_empty() {
            self.boxes.set_state(state);
        } else {
            self.gap(UpdatesLike::ConnectionClosed);
        }
        self.shared.connected(true);
        Ok(Turn::On)
    }

    /// Something may be missing: it is asked for, and looked for by those who store.
    fn gap(&mut self, what: UpdatesLike) {
        let _: Result<UpdateAndPeers, Gap> = self.boxes.process_updates(what);
        self.shared.doubt();
    }

    fn updates(&mut self, mut updates: enums::Updates) {
        let all = match &mut updates {
            enums::Updates::Updates(updates) => updates.updates.as_mut_slice(),
            enums::Updates::Combined(updates) => updates.updates.as_mut_slice(),
            enums::Updates::UpdateShort(update) => std::slice::from_mut(&mut update.update),
            _ => &mut [],
        };
        let now = Instant::now();
        self.without_counters(all);
        for update in all {
            if let Some(channel) = channel_of(update) {
                self.heard_in.insert(channel, now);
            }
        }
        match self.boxes.process_updates(UpdatesLike::Updates(updates)) {
            Ok(told) => self.take_in(told),
            Err(Gap) => self.shared.doubt(),
        }
    }

    /// Takes the counters out of words that there is too much in a channel: the boxes would ask from there, and what lies before would be
    /// missed. Of channels that they do not know they say nothing at all.
    fn without_counters(&self, updates: &mut [enums::Update]) {
        for update in updates {
            if let enums::Update::ChannelTooLong(update) = update {
                update.pts = None;
                self.shared.doubt();
            }
        }
    }

    fn take_in(&mut self, told: UpdateAndPeers) {
        let (_, _, chats) = &told;
        for chat in chats {
            if let enums::Chat::Channel(types::Channel { id, access_hash: Some(hash), min: false, .. }) = chat {
                self.hashes.insert(*id, *hash);
            }
        }
        self.shared.take_in(told);
    }

    async fn account_difference(&mut self, request: functions::updates::GetDifference) -> Result<Turn, CallError> {
        let mut difference = match self.client.call(&request).await {
            Ok(difference) => difference,
            // It does not know these counters: then they are asked for again.
            Err(error) if error.rpc().is_some_and(|rpc| rpc.code == 400) => return Ok(Turn::Anew),
            Err(error) => return Err(error),
        };
        self.pause = FIRST_PAUSE;
        let leads_on = match &mut difference {
            enums::updates::Difference::TooLong(_) => {
                self.shared.doubt();
                true
            }
            enums::updates::Difference::Slice(slice) => {
                self.without_counters(&mut slice.other_updates);
                let enums::updates::State::State(state) = &slice.intermediate_state;
                (state.pts, state.qts) != (request.pts, request.qts)
            }
            enums::updates::Difference::Difference(difference) => {
                self.without_counters(&mut difference.other_updates);
                true
            }
            enums::updates::Difference::Empty(_) => true,
        };
        let told = self.boxes.apply_difference(difference);
        self.take_in(told);
        // A part that leads nowhere would come for ever.
        Ok(if leads_on { Turn::On } else { Turn::Anew })
    }

    async fn channel_difference(&mut self, mut request: functions::updates::GetChannelDifference) -> Result<Turn, CallError> {
        let enums::InputChannel::Channel(types::InputChannel { channel_id, .. }) = request.channel else { return Ok(Turn::Anew) };
        let is_quiet = self.heard_in.get(&channel_id).is_none_or(|heard| heard.elapsed() >= QUIET);
        let input = |access_hash: &i64| types::InputChannel { channel_id, access_hash: *access_hash }.into();
        let input: Option<enums::InputChannel> = self.hashes.get(&channel_id).map(input);
        let (false, Some(input)) = (is_quiet, input) else {
            self.forget(channel_id, !is_quiet);
            return Ok(Turn::On);
        };
        (request.channel, request.limit) = (input, CHANNEL_PAGE);
        let mut difference = match self.client.call(&request).await {
            Ok(difference) => difference,
            Err(error) if error.rpc().is_some_and(|rpc| matches!(rpc.code, 400 | 403..=406)) => {
                self.forget(channel_id, true);
                return Ok(Turn::On);
            }
            Err(error) => return Err(error),
        };
        self.pause = FIRST_PAUSE;
        let leads_on = match &mut difference {
            enums::updates::ChannelDifference::TooLong(too_long) => {
                too_long.timeout = None;
                self.shared.doubt();
                too_long.r#final
            }
            enums::updates::ChannelDifference::Difference(difference) => {
                // The boxes would ask again after so long, whatever happens there.
                difference.timeout = None;
                self.without_counters(&mut difference.other_updates);
                difference.r#final || difference.pts > request.pts
            }
            enums::updates::ChannelDifference::Empty(empty) => {
                empty.timeout = None;
                empty.r#final
            }
        };
        let told = self.boxes.apply_channel_difference(difference);
        self.take_in(told);
        if !leads_on {
            self.forget(channel_id, true);
        }
        Ok(Turn::On)
    }

    /// Lets the boxes forget a channel: it begins with the next message there.
    fn forget(&mut self, channel: i64, is_in_doubt: bool) {
        let asks = |boxes: &MessageBoxes| {
            let request = boxes.get_channel_difference()?;
            if let enums::InputChannel::Channel(types::InputChannel { channel_id, .. }) = request.channel { Some(channel_id) } else { None }
        };
        if asks(&self.boxes) == Some(channel) {
            self.boxes.end_channel_difference(PrematureEndReason::Banned);
        }
        self.heard_in.remove(&channel);
        if is_in_doubt {
            self.shared.doubt();
        }
    }
}

/// The channel that an update with a counter is about.
fn channel_of(update: &enums::Update) -> Option<i64> {
    let of_message = |message: &enums::Message| {
        let peer = match message {
            enums::Message::Message(message) => &message.peer_id,
            enums::Message::Service(message) => &message.peer_id,
            enums::Message::Empty(_) => return None,
        };
        if let enums::Peer::Channel(channel) = peer { Some(channel.channel_id) } else { None }
    };
    match update {
        enums::Update::NewChannelMessage(update) => of_message(&update.message),
        enums::Update::EditChannelMessage(update) => of_message(&update.message),
        enums::Update::DeleteChannelMessages(update) => Some(update.channel_id),
        enums::Update::ChannelTooLong(update) => Some(update.channel_id),
        _ => None,
    }
}
