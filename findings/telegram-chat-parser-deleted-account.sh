#!/usr/bin/env bash
# npm telegram-chat-parser 1.0.7: Telegram Desktop writes `"from": null` for messages of accounts that were deleted since. One such message
# anywhere makes the parser refuse the whole export; without it the other messages are read.
# What it means for users: an export, or what `restore` writes in its form, is right and this reader shows nothing of it.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
cd "$work"
npm init --yes >log 2>&1
npm install --silent --no-audit --no-fund telegram-chat-parser@1.0.7

cat >try.cjs <<'JS'
const { TelegramChat } = require("telegram-chat-parser");
const message = (id, from, from_id) => ({
  id, type: "message", date: `2026-03-01T10:0${id}:00`, from, from_id, text: "See you", text_entities: [{ type: "plain", text: "See you" }],
});
const chat = (messages) => JSON.stringify({ name: "Chess club", type: "private_group", id: 987654321, messages });
const read = (text) => {
  try {
    return `${new TelegramChat(text).messages.length} messages`;
  } catch (error) {
    return `error: ${error.message}`;
  }
};
console.log("telegram-chat-parser", require("telegram-chat-parser/package.json").version);
console.log("two people:", read(chat([message(1, "Ada", "user1001"), message(2, "Bo", "user1003")])));
console.log("and a deleted account:", read(chat([message(1, "Ada", "user1001"), message(2, "Bo", "user1003"), message(3, null, "user1002")])));
JS
node try.cjs | tee seen
diff seen - <<'SEEN'
telegram-chat-parser 1.0.7
two people: 2 messages
and a deleted account: error: Can't find user without id or name
SEEN
