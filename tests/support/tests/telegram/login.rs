use grammers_client::SignInError;
use grammers_tl_types::{enums, functions as f};
use tgvault_test_support::telegram::{Options, SELF, TelegramServer};

use crate::client::{connect, extend_login, log_in, rpc_error};

fn start(options: Options) -> TelegramServer {
    TelegramServer::start(options).expect("starts")
}

fn who() -> f::users::GetUsers {
    f::users::GetUsers { id: vec![enums::InputUser::UserSelf] }
}

#[tokio::test]
async fn by_code() {
    let server = start(Options::default());
    let client = connect(&server).await;
    assert!(!client.is_authorized().await.expect("an answer"));
    assert_eq!(rpc_error(client.invoke(&who()).await), "AUTH_KEY_UNREGISTERED");
    let token = client.request_login_code("999 66 21 234", "hash").await.expect("a code is sent");
    assert!(matches!(client.sign_in(&token, "11111").await, Err(SignInError::InvalidCode)));
    let user = client.sign_in(&token, &server.options().code).await.expect("logs in");
    assert_eq!(user.id().bare_id_unchecked(), SELF);
    assert!(client.is_authorized().await.expect("an answer"));
    assert!(client.request_login_code("+4930123", "hash").await.is_err());

    client.invoke(&f::auth::LogOut {}).await.expect("logs out");
    assert_eq!(rpc_error(client.invoke(&who()).await), "AUTH_KEY_UNREGISTERED");
}

#[tokio::test]
async fn by_code_and_password() {
    let server = start(Options { password: Some("correct horse".into()), ..Options::default() });
    let client = connect(&server).await;
    let token = client.request_login_code(&server.options().phone, "hash").await.expect("a code is sent");
    let Err(SignInError::PasswordRequired(token)) = client.sign_in(&token, &server.options().code).await else {
        panic!("a password was due")
    };
    assert_eq!(token.hint(), Some("the usual one"));
    assert_eq!(rpc_error(client.invoke(&who()).await), "SESSION_PASSWORD_NEEDED");
    let Err(SignInError::InvalidPassword(_)) = client.check_password(token, "wrong").await else { panic!("the password was wrong") };
    assert_eq!(rpc_error(client.invoke(&who()).await), "SESSION_PASSWORD_NEEDED");
    let enums::account::Password::Password(password) = client.invoke(&f::account::GetPassword {}).await.expect("an offer");
    client.check_password(grammers_client::client::PasswordToken::new(password), "correct horse").await.expect("logs in");
    client.invoke(&who()).await.expect("may ask");
}

#[tokio::test]
async fn as_a_bot() {
    let server = start(Options::default());
    let client = connect(&server).await;
    assert!(client.bot_sign_in("1:wrong", "hash").await.is_err());
    let bot = client.bot_sign_in(&server.options().bot_token, "hash").await.expect("logs in");
    assert!(bot.is_bot());
    let dialogs = f::messages::GetDialogs {
        exclude_pinned: false,
        folder_id: None,
        offset_date: 0,
        offset_id: 0,
        offset_peer: enums::InputPeer::Empty,
        limit: 10,
        hash: 0,
    };
    assert_eq!(rpc_error(client.invoke(&dialogs).await), "BOT_METHOD_INVALID");
}

fn qr() -> f::auth::ExportLoginToken {
    f::auth::ExportLoginToken { api_id: 1, api_hash: "hash".into(), except_ids: vec![] }
}

#[tokio::test]
async fn by_qr_code() {
    let server = start(Options::default());
    let client = connect(&server).await;
    let enums::auth::LoginToken::Token(token) = client.invoke(&qr()).await.expect("a token") else { panic!("a token was due") };
    assert!(!server.accept_login_token(b"no such token"));
    assert!(server.accept_login_token(&token.token));
    let enums::auth::LoginToken::Success(_) = client.invoke(&qr()).await.expect("an answer") else { panic!("success was due") };
    client.invoke(&who()).await.expect("may ask");
}

#[tokio::test]
async fn by_qr_code_shown_on_another_dc() {
    let server = start(Options::default());
    let client = connect(&server).await;
    let enums::auth::LoginToken::Token(token) = client.invoke_in_dc(4, &qr()).await.expect("a token") else { panic!("a token was due") };
    assert!(server.accept_login_token(&token.token));
    let enums::auth::LoginToken::MigrateTo(migrate) = client.invoke_in_dc(4, &qr()).await.expect("an answer") else {
        panic!("another DC was due")
    };
    assert_eq!(migrate.dc_id, 2);
    let import = f::auth::ImportLoginToken { token: migrate.token };
    let enums::auth::LoginToken::Success(_) = client.invoke_in_dc(2, &import).await.expect("an answer") else { panic!("success was due") };
    client.invoke(&who()).await.expect("may ask");
}

#[tokio::test]
async fn on_several_dcs() {
    let server = start(Options::default());
    let client = log_in(&server).await;
    assert_eq!(rpc_error(client.invoke_in_dc(4, &who()).await), "AUTH_KEY_UNREGISTERED");
    extend_login(&client, 4).await;
    client.invoke_in_dc(4, &who()).await.expect("may ask there too");
    let elsewhere = f::auth::SendCode {
        phone_number: server.options().phone.clone(),
        api_id: 1,
        api_hash: "hash".into(),
        settings: grammers_tl_types::types::CodeSettings {
            allow_flashcall: false,
            current_number: false,
            allow_app_hash: false,
            allow_missed_call: false,
            allow_firebase: false,
            unknown_number: false,
            logout_tokens: None,
            token: None,
            app_sandbox: None,
        }
        .into(),
    };
    assert_eq!(rpc_error(client.invoke_in_dc(4, &elsewhere).await), "PHONE_MIGRATE_2");
}
