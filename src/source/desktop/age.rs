//! Which version of Telegram Desktop wrote an export, told by the keys that it uses.

/// A step in the growth of the schema. The name says the first version of Telegram Desktop that has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Age {
    /// 1.3.8 (2018): no ids of senders or chats.
    #[default]
    V1_3,
    /// 1.4.8: chat ids; `from_id` is a user's bare number.
    V1_5,
    /// 2.1.8 (2020): single chats.
    V2_1,
    /// 2.4.0: `from_id` is a number with type bits.
    V2_4,
    /// 2.7.2 (2021): `from_id` is a typed peer.
    V2_7,
    /// 4.0 (2022): `…_unixtime`.
    V4_0,
    /// 4.2: `text_entities`.
    V4_2,
    /// 5.0: `file_name`.
    V5_0,
    /// 5.6: `reactions`.
    V5_6,
    /// 5.11 (2025): `…_file_size`.
    V5_11,
    /// 6.0: `todo_list`.
    V6_0,
    /// After 6.1.2: `forwarded_from_id`, `rich_message`.
    V7,
}

impl Age {
    /// The version as text.
    pub fn name(self) -> &'static str {
        match self {
            Self::V1_3 => "1.3",
            Self::V1_5 => "1.5",
            Self::V2_1 => "2.1",
            Self::V2_4 => "2.4",
            Self::V2_7 => "2.7.2",
            Self::V4_0 => "4.0",
            Self::V4_2 => "4.2",
            Self::V5_0 => "5.0",
            Self::V5_6 => "5.6",
            Self::V5_11 => "5.11",
            Self::V6_0 => "6.0",
            Self::V7 => "7",
        }
    }

    /// The age that this key of a message proves at least.
    pub fn of_key(key: &str, value: &str) -> Self {
        match key {
            "from_id" | "actor_id" => match value.trim_ascii().parse::<i64>() {
                Ok(number) if number >= TYPE_BIT => Self::V2_4,
                Ok(_) => Self::V1_5,
                Err(_) => Self::V2_7,
            },
            "date_unixtime" => Self::V4_0,
            "text_entities" => Self::V4_2,
            "file_name" => Self::V5_0,
            "reactions" => Self::V5_6,
            "photo_file_size" | "thumbnail_file_size" => Self::V5_11,
            "todo_list" => Self::V6_0,
            "forwarded_from_id" | "rich_message" => Self::V7,
            _ => Self::V1_3,
        }
    }
}

/// What versions 2.4.0 to 2.7.1 added to the number of a user; twice that for a group or channel.
pub const TYPE_BIT: i64 = 1 << 32;
