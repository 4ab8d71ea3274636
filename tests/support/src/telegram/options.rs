//! How a server is set up.

use std::time::Duration;

use super::faults::Fault;
use super::protocol::rsa::ServerKey;

/// What the server serves and how. `Options::default()` is a small account without misfortune; the fields are public.
#[derive(Clone, Debug)]
pub struct Options {
    /// Everything generated follows from this number and the sizes below.
    pub seed: u64,
    /// Messages in the generated chats, those of [`Options::gallery`] not counted.
    pub messages: u64,
    /// Generated chats in the dialog list or left, those of [`Options::gallery`] not counted.
    pub chats: u32,
    /// Generated files in messages.
    pub files: u32,
    /// Bytes of all these files together, roughly.
    pub media_bytes: u64,
    /// Adds a private chat and a forum that have one message of every kind there is.
    pub gallery: bool,
    /// How many private chats answer with `userEmpty` for their user.
    pub empty_users: u32,
    /// When the generated history ends, in Unix time. Fixed by default, so that runs can be compared.
    pub until: i32,
    /// Numbers of the DCs; each is a listener of its own. The first is the account's home.
    pub dcs: Vec<i32>,
    /// Ports for the DCs in order; missing ones and 0 mean any free port.
    pub ports: Vec<u16>,
    /// The server's RSA key; made when `None`. In a test process all servers without a given key share one.
    pub key: Option<ServerKey>,
    /// Phone number that may log in, as clients write it, with or without `+`.
    pub phone: String,
    /// The login code.
    pub code: String,
    /// The password of two-step verification.
    pub password: Option<String>,
    /// Accepts login tokens (QR codes) soon after they are given out.
    pub accept_login_tokens: bool,
    /// The token a bot may log in with.
    pub bot_token: String,
    /// Added to the answer time of every request.
    pub latency: Duration,
    /// Bytes a second that each connection carries towards the client.
    pub bandwidth: Option<u64>,
    /// Packs large answers, as Telegram does.
    pub gzip: bool,
    /// Packs refusals too, which Telegram does not.
    pub gzip_errors: bool,
    /// How many salts a request for salts is given; `None` for no answer at all.
    pub future_salts: Option<i32>,
    /// Bytes that answers in one packet have at most; a single longer one has a packet of its own.
    pub packet_bytes: usize,
    /// A connection ends with its packet of this number; 0 for never.
    pub close_after: u64,
    /// Seconds by which the server's clock is ahead of the machine's; negative when it is behind.
    pub clock_ahead: i32,
    /// How often a key exchange is told to try another secret (`dh_gen_retry`) before the key is accepted.
    pub key_retries: u32,
    /// Whether `messages.getHistory` heeds a negative `add_offset`. Some servers begin at the offset and go down, whatever was asked.
    pub negative_add_offset: bool,
    /// Messages that a page of `messages.getHistory` has at most: the newest of those that were asked for.
    pub page_messages: usize,
    /// Chats that a page of `messages.getDialogs` has at most, pinned ones included.
    pub page_dialogs: usize,
    /// Ranges that `messages.getSplitRanges` divides the messages into.
    pub split_ranges: u32,
    /// Most events that `updates.getDifference` tells before it says that the difference is too long.
    pub difference_limit: usize,
    /// Most events that `updates.getChannelDifference` tells before it says so.
    pub channel_difference_limit: usize,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// Threads that serve.
    pub threads: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 1,
            messages: 2_000,
            chats: 30,
            files: 100,
            media_bytes: 10_000_000,
            gallery: true,
            empty_users: 0,
            until: 1_793_500_000,
            dcs: vec![2, 4],
            ports: Vec::new(),
            key: None,
            phone: "+9996621234".into(),
            code: "22222".into(),
            password: None,
            accept_login_tokens: false,
            bot_token: "123456:test-bot-token".into(),
            latency: Duration::ZERO,
            bandwidth: None,
            gzip: true,
            gzip_errors: false,
            future_salts: Some(2),
            packet_bytes: 64 << 10,
            close_after: 0,
            clock_ahead: 0,
            key_retries: 0,
            negative_add_offset: true,
            page_messages: 100,
            page_dialogs: 100,
            split_ranges: 1,
            difference_limit: 5_000,
            channel_difference_limit: 1_000,
            faults: Vec::new(),
            threads: 1,
        }
    }
}

impl Options {
    /// An account that has only Saved Messages, for tests that write every message themselves.
    pub fn empty() -> Self {
        Self { messages: 0, chats: 0, files: 0, media_bytes: 0, gallery: false, ..Self::default() }
    }

    /// Whether `phone` is the account's, however it is written.
    pub(crate) fn is_phone(&self, phone: &str) -> bool {
        let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
        digits(phone) == digits(&self.phone)
    }
}
