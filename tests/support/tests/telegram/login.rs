use grammers_tl_types::{enums, functions as f};
use tgvault_test_support::telegram::{Options, SELF, TelegramServer};

use crate::client::{connect, rpc_error};

fn start(options: Options) -> TelegramServer {
    TelegramServer::start(options).expect("starts")
}

#[tokio::test]
async fn login_by_code() {
    let server = start(Options::default());
    let client = connect(&server).await;
    assert!(!client.is_authorized().await.expect("an answer"));
    assert_eq!(rpc_error(client.invoke(&f::users::GetUsers { id: vec![enums::InputUser::UserSelf] }).await), "AUTH_KEY_UNREGISTERED");
    let token = client.request_login_code("999 66 21 234", "hash").await.expect("a code is sent");
    assert!(matches!(client.sign_in(&token, "11111").await, Err(grammers_client::SignInError::InvalidCode)));
    let user = client.sign_in(&token, &server.options().code).await.expect("logs in");
    assert_eq!(user.id().bare_id_unchecked(), SELF);
    assert!(client.is_authorized().await.expect("an answer"));
}
