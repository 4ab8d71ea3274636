//! A client for the tests, made of grammers, with a key exchange that takes any server's key.

use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::sync::Arc;

use grammers_client::Client;
use grammers_crypto::{AuthKey, aes, factorize, generate_key_data_from_nonce, rsa};
use grammers_mtproto::{mtp, transport::Full};
use grammers_mtsender::{ConnectionParams, InvocationError, NoRetries, Sender, SenderPool, ServerAddr};
use grammers_session::SessionData;
use grammers_session::storages::MemorySession;
use grammers_session::types::DcOption;
use grammers_session::updates::UpdatesLike;
use grammers_tl_types::{Cursor, Deserializable, Serializable, enums, functions as f, types};
use num_bigint::BigUint;
use sha1::{Digest, Sha1};
use tgvault_test_support::telegram::{ChatInfo, Peer, ServerKey, TelegramServer};
use tokio::sync::mpsc::Receiver;

/// Agrees on an authorisation key with the DC at `address`.
pub async fn exchange_keys(address: SocketAddr, server: &ServerKey) -> [u8; 256] {
    let random = |bytes: &mut [u8]| getrandom::fill(bytes).expect("random bytes");
    let mut sender = Sender::connect(Full::new(), mtp::Plain::new(), ServerAddr::Tcp { address }).await.expect("connects");
    let mut nonce = [0; 16];
    random(&mut nonce);
    let enums::ResPq::Pq(offer) = sender.invoke(&f::ReqPqMulti { nonce }).await.expect("resPQ");
    assert_eq!(offer.nonce, nonce);
    assert_eq!(offer.server_public_key_fingerprints, [server.fingerprint()]);
    let server_nonce = offer.server_nonce;
    let short = |n: u64| n.to_be_bytes().into_iter().skip_while(|b| *b == 0).collect::<Vec<_>>();
    let (p, q) = factorize(u64::from_be_bytes(offer.pq.as_slice().try_into().expect("8 bytes")));
    let mut new_nonce = [0; 32];
    random(&mut new_nonce);
    let inner = types::PQInnerData { pq: offer.pq, p: short(p), q: short(q), nonce, server_nonce, new_nonce };
    let key = rsa::Key::new(&server.modulus(), &server.exponent()).expect("decimal numbers");
    let mut padding = [0; 224];
    random(&mut padding);
    let request = f::ReqDhParams {
        nonce,
        server_nonce,
        p: short(p),
        q: short(q),
        public_key_fingerprint: server.fingerprint(),
        encrypted_data: rsa::encrypt_hashed(&enums::PQInnerData::Data(inner).to_bytes(), &key, &padding),
    };
    let enums::ServerDhParams::Ok(mut answer) = sender.invoke(&request).await.expect("DH parameters") else { panic!("refused") };
    let (aes_key, iv) = generate_key_data_from_nonce(&server_nonce, &new_nonce);
    aes::ige_decrypt(&mut answer.encrypted_answer, &aes_key, &iv);
    let (hash, data) = answer.encrypted_answer.split_at(20);
    let mut cursor = Cursor::from_slice(data);
    let enums::ServerDhInnerData::Data(dh) = enums::ServerDhInnerData::deserialize(&mut cursor).expect("inner data");
    assert_eq!(Sha1::digest(&data[..cursor.pos()])[..], *hash);
    let mut secret = [0; 256];
    random(&mut secret);
    let (secret, prime) = (BigUint::from_bytes_be(&secret), BigUint::from_bytes_be(&dh.dh_prime));
    let g_b = BigUint::from(dh.g as u32).modpow(&secret, &prime).to_bytes_be();
    let shared = BigUint::from_bytes_be(&dh.g_a).modpow(&secret, &prime).to_bytes_be();
    let ours = enums::ClientDhInnerData::Data(types::ClientDhInnerData { nonce, server_nonce, retry_id: 0, g_b }).to_bytes();
    let mut encrypted_data = Sha1::digest(&ours).to_vec();
    encrypted_data.extend(ours);
    encrypted_data.resize(encrypted_data.len().next_multiple_of(16), 0);
    aes::ige_encrypt(&mut encrypted_data, &aes_key, &iv);
    let done = sender.invoke(&f::SetClientDhParams { nonce, server_nonce, encrypted_data }).await.expect("an answer");
    let enums::SetClientDhParamsAnswer::DhGenOk(done) = done else { panic!("not agreed") };
    let mut key = [0; 256];
    key[256 - shared.len()..].copy_from_slice(&shared);
    assert_eq!(done.new_nonce_hash1, AuthKey::from_bytes(key).calc_new_nonce_hash(&new_nonce, 1));
    key
}

/// A client with keys for all DCs, not logged in. `server` must outlive it for its requests to be answered.
pub async fn connect(server: &TelegramServer) -> Client {
    connect_with_updates(server).await.0
}

/// The same with what the server sends unasked.
async fn connect_with_updates(server: &TelegramServer) -> (Client, Receiver<UpdatesLike>) {
    let mut data = SessionData { home_dc: server.home_dc(), ..Default::default() };
    data.dc_options.clear();
    for (id, address) in server.addresses() {
        let SocketAddr::V4(ipv4) = *address else { panic!("IPv4 only") };
        let ipv6 = SocketAddrV6::new(SocketAddrV4::ip(&ipv4).to_ipv6_mapped(), ipv4.port(), 0, 0);
        let auth_key = Some(exchange_keys(*address, server.key()).await);
        data.dc_options.insert(*id, DcOption { id: *id, ipv4, ipv6, auth_key });
    }
    let params = ConnectionParams { retry_policy: Box::new(NoRetries), ..Default::default() };
    let SenderPool { runner, handle, updates } = SenderPool::with_configuration(Arc::new(MemorySession::from(data)), 1, params);
    tokio::spawn(runner.run());
    (Client::new(handle), updates)
}

/// A client that has logged in with the code.
pub async fn log_in(server: &TelegramServer) -> Client {
    log_in_with_updates(server).await.0
}

/// The same with what the server sends unasked.
pub async fn log_in_with_updates(server: &TelegramServer) -> (Client, Receiver<UpdatesLike>) {
    let (client, updates) = connect_with_updates(server).await;
    let token = client.request_login_code(&server.options().phone, "hash").await.expect("a code is sent");
    client.sign_in(&token, &server.options().code).await.expect("logs in");
    (client, updates)
}

/// Lets a logged-in client use another DC too.
pub async fn extend_login(client: &Client, dc: i32) {
    let enums::auth::ExportedAuthorization::Authorization(exported) =
        client.invoke(&f::auth::ExportAuthorization { dc_id: dc }).await.expect("exported");
    client.invoke_in_dc(dc, &f::auth::ImportAuthorization { id: exported.id, bytes: exported.bytes }).await.expect("imported");
}

/// The error's name with its number, for example `FLOOD_WAIT_3`.
pub fn rpc_error<T: std::fmt::Debug>(result: Result<T, InvocationError>) -> String {
    match result {
        Err(InvocationError::Rpc(error)) => match error.value {
            Some(value) => format!("{}_{value}", error.name),
            None => error.name,
        },
        other => panic!("an RPC error was due: {other:?}"),
    }
}

/// A page of a history.
pub fn history(peer: enums::InputPeer, offset_id: i32, add_offset: i32, limit: i32) -> f::messages::GetHistory {
    f::messages::GetHistory { peer, offset_id, offset_date: 0, add_offset, limit, max_id: 0, min_id: 0, hash: 0 }
}

/// A chat as requests name it.
pub fn input_peer(chat: &ChatInfo) -> enums::InputPeer {
    let access_hash = chat.access_hash;
    match chat.peer {
        Peer::User(user_id) => types::InputPeerUser { user_id, access_hash }.into(),
        Peer::Group(chat_id) => types::InputPeerChat { chat_id }.into(),
        Peer::Channel(channel_id) => types::InputPeerChannel { channel_id, access_hash }.into(),
    }
}

/// The messages of an answer, newest first.
pub fn messages_of(answer: enums::messages::Messages) -> Vec<enums::Message> {
    match answer {
        enums::messages::Messages::Messages(m) => m.messages,
        enums::messages::Messages::Slice(m) => m.messages,
        enums::messages::Messages::ChannelMessages(m) => m.messages,
        enums::messages::Messages::NotModified(_) => Vec::new(),
    }
}
