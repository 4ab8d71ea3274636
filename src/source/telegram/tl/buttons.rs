//! Buttons below a message, and reply keyboards.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use grammers_tl_types::{enums, types};

use super::json::{Object, list};

type Inline = enums::InlineButtonType;

fn inline(button: &types::KeyboardInlineButton) -> String {
    let mut object = Object::new();
    let mut data = "";
    let number;
    let (mut forward, mut id, mut bytes) = (None, None, None);
    let kind = match &button.r#type {
        Inline::Url(b) => {
            data = &b.url;
            "url"
        }
        Inline::UrlAuth(b) => {
            data = &b.url;
            forward = b.fwd_text.as_deref();
            id = Some(b.button_id);
            "auth"
        }
        Inline::InputInlineButtonTypeUrlAuth(b) => {
            data = &b.url;
            "auth"
        }
        Inline::WebView(b) => {
            data = &b.url;
            "web_view"
        }
        Inline::Callback(b) => {
            bytes = Some(&b.data);
            if b.requires_password { "callback_with_password" } else { "callback" }
        }
        Inline::Game => "game",
        Inline::Buy => "buy",
        Inline::SwitchInline(b) => {
            data = &b.query;
            if b.same_peer { "switch_inline_same" } else { "switch_inline" }
        }
        Inline::UserProfile(b) => {
            number = b.user_id.to_string();
            data = &number;
            "user_profile"
        }
        Inline::InputInlineButtonTypeUserProfile(_) => "user_profile",
        Inline::Copy(b) => {
            data = &b.copy_text;
            "copy_text"
        }
        Inline::Disabled => "disabled",
    };
    object.put("type", kind).put_text("text", &button.text);
    match bytes {
        Some(bytes) => object.put("dataBase64", &URL_SAFE_NO_PAD.encode(bytes)).put("data", ""),
        None => object.put_text("data", data),
    };
    object.put_text("forward_text", forward.unwrap_or_default());
    object.put_number("button_id", id.unwrap_or_default().into());
    object.end()
}

/// The value of `inline_bot_buttons`; `None` where there are none.
pub(super) fn inline_rows(markup: &enums::ReplyMarkup) -> Option<String> {
    let enums::ReplyMarkup::ReplyInlineMarkup(markup) = markup else { return None };
    let rows = markup.rows.iter().map(|enums::KeyboardInlineButtonRow::Row(row)| {
        list(row.buttons.iter().map(|enums::KeyboardInlineButton::Button(button)| inline(button)))
    });
    (!markup.rows.is_empty()).then(|| list(rows))
}

/// A reply keyboard, which Telegram Desktop does not export.
pub(super) fn reply_keyboard(markup: &enums::ReplyMarkup) -> Option<String> {
    let mut object = Object::new();
    match markup {
        enums::ReplyMarkup::ReplyKeyboardMarkup(markup) => {
            let rows = markup.rows.iter().map(|enums::KeyboardButtonRow::Row(row)| {
                list(row.buttons.iter().map(|enums::KeyboardButton::Button(button)| {
                    let kind = match &button.r#type {
                        enums::ButtonType::Default => "default",
                        enums::ButtonType::RequestPhone => "request_phone",
                        enums::ButtonType::RequestGeoLocation => "request_location",
                        enums::ButtonType::RequestPoll(_) => "request_poll",
                        enums::ButtonType::RequestPeer(_) | enums::ButtonType::InputButtonTypeRequestPeer(_) => "request_peer",
                        enums::ButtonType::SimpleWebView(_) => "simple_web_view",
                    };
                    let mut object = Object::new();
                    object.put("type", kind).put_text("text", &button.text);
                    if let enums::ButtonType::SimpleWebView(view) = &button.r#type {
                        object.put_text("data", &view.url);
                    }
                    object.end()
                }))
            });
            object.put_raw("rows", &list(rows)).put_text("placeholder", markup.placeholder.as_deref().unwrap_or_default());
        }
        enums::ReplyMarkup::ReplyKeyboardHide(_) => {
            object.put("hide", &true);
        }
        enums::ReplyMarkup::ReplyKeyboardForceReply(_) => {
            object.put("force_reply", &true);
        }
        enums::ReplyMarkup::ReplyInlineMarkup(_) => return None,
    }
    Some(object.end())
}
