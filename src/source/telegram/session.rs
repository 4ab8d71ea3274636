//! The login as one value: data centres, their authorization keys, who is logged in; sealed at rest.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use grammers_tl_types::{enums, types};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::{Zeroize, Zeroizing};

use super::sealing::SealedFile;
use super::transport::ServerKey;

/// The version of the stored form.
const VERSION: u8 = 1;

/// Where Telegram's data centres answer (its clients' built-in list); `help.getConfig` keeps it current.
const TELEGRAM: [(i32, [u8; 4], [u16; 8]); 5] = [
    (1, [149, 154, 175, 53], [0x2001, 0xb28, 0xf23d, 0xf001, 0, 0, 0, 0xa]),
    (2, [149, 154, 167, 41], [0x2001, 0x67c, 0x4e8, 0xf002, 0, 0, 0, 0xa]),
    (3, [149, 154, 175, 100], [0x2001, 0xb28, 0xf23d, 0xf003, 0, 0, 0, 0xa]),
    (4, [149, 154, 167, 92], [0x2001, 0x67c, 0x4e8, 0xf004, 0, 0, 0, 0xa]),
    (5, [91, 108, 56, 104], [0x2001, 0xb28, 0xf23f, 0xf005, 0, 0, 0, 0xa]),
];
const TELEGRAM_PORT: u16 = 443;
const TELEGRAM_FIRST_DC: i32 = 2;

/// A server other than Telegram's production data centres.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomServer {
    /// Where it answers.
    pub address: SocketAddr,
    /// Which data centre that is; 2 where nothing else is known.
    pub dc: i32,
    /// Its RSA public key as PEM.
    pub key_pem: String,
}

impl CustomServer {
    /// Whether both have the same public key, however it is written down.
    fn has_key_of(&self, other: &Self) -> bool {
        self.key_pem == other.key_pem
            || matches!((ServerKey::from_pem(&self.key_pem), ServerKey::from_pem(&other.key_pem)), (Ok(own), Ok(other)) if own == other)
    }
}

/// An authorization key; wiped from memory when dropped, never shown.
#[derive(Clone)]
pub struct AuthorizationKey(Zeroizing<[u8; 256]>);

impl AuthorizationKey {
    pub(super) fn new(bytes: Zeroizing<[u8; 256]>) -> Self {
        Self(bytes)
    }

    pub(super) fn bytes(&self) -> Zeroizing<[u8; 256]> {
        self.0.clone()
    }
}

impl std::fmt::Debug for AuthorizationKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[REDACTED]")
    }
}

impl Serialize for AuthorizationKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Zeroizing::new(BASE64.encode(&self.0[..])))
    }
}

impl<'de> Deserialize<'de> for AuthorizationKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        let mut bytes = BASE64.decode(text.as_bytes()).map_err(serde::de::Error::custom)?;
        let key = <[u8; 256]>::try_from(bytes.as_slice()).map_err(|_| serde::de::Error::custom("not a key of 256 bytes"));
        bytes.zeroize();
        Ok(Self(Zeroizing::new(key?)))
    }
}

/// One data centre.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DataCentre {
    /// Where to connect, in the order of trying.
    pub addresses: Vec<SocketAddr>,
    /// Whether the user gave the address, so that the server's list does not change it.
    #[serde(default)]
    pub pinned: bool,
    /// The key agreed on; none before the first connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<AuthorizationKey>,
}

/// Who is logged in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedIn {
    /// The user's number.
    pub user_id: i64,
    /// Whether it is a bot.
    pub bot: bool,
}

/// Everything that a later run needs to act for the account.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Session {
    version: u8,
    /// The data centre that holds the account.
    pub home_dc: i32,
    /// The data centres by number.
    pub dcs: BTreeMap<i32, DataCentre>,
    /// `None` for Telegram itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<CustomServer>,
    /// `None` until the login is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<LoggedIn>,
    /// The application's number that the login was made with: Telegram knows the session by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_id: Option<i32>,
}

impl Session {
    /// A session without a login, with Telegram or a server of one's own.
    pub fn new(server: Option<CustomServer>) -> Self {
        let (home_dc, dcs) = match &server {
            Some(server) => {
                (server.dc, BTreeMap::from([(server.dc, DataCentre { addresses: vec![server.address], pinned: true, key: None })]))
            }
            None => {
                let dcs = TELEGRAM.iter().map(|&(dc, v4, v6)| {
                    let addresses = [IpAddr::from(Ipv4Addr::from(v4)), IpAddr::from(Ipv6Addr::from(v6))];
                    let addresses = addresses.map(|ip| SocketAddr::new(ip, TELEGRAM_PORT)).to_vec();
                    (dc, DataCentre { addresses, pinned: false, key: None })
                });
                (TELEGRAM_FIRST_DC, dcs.collect())
            }
        };
        Self { version: VERSION, home_dc, dcs, server, user: None, api_id: None }
    }

    /// Follows a server of one's own to where it answers now; its data centre stays the same.
    ///
    /// # Errors
    /// In words, when the login is with another server.
    fn follow(&mut self, server: &CustomServer) -> Result<bool, &'static str> {
        match &self.server {
            None => Err("this account is logged in at Telegram itself, not at the server that is named"),
            Some(known) if known == server => Ok(false),
            Some(known) if !known.has_key_of(server) => Err(
                "this account is logged in at a server with another public key: check the key that is given, or log in again if the server has a new one",
            ),
            Some(known) if known.dc != server.dc => Err("this account is logged in at a server with another data centre's number"),
            Some(_) => {
                if let Some(dc) = self.dcs.get_mut(&server.dc) {
                    dc.addresses = vec![server.address];
                    dc.pinned = true;
                }
                self.server = Some(server.clone());
                Ok(true)
            }
        }
    }

    /// Takes over what the server says about its data centres.
    fn learn(&mut self, config: &types::Config) -> bool {
        let mut found: BTreeMap<i32, Vec<SocketAddr>> = BTreeMap::new();
        for enums::DcOption::Option(option) in &config.dc_options {
            // CDN and media-only addresses speak for other keys or purposes; obfuscated-only ones need another transport.
            if option.cdn || option.media_only || option.tcpo_only || option.secret.is_some() {
                continue;
            }
            if let (Ok(ip), Ok(port)) = (option.ip_address.parse::<IpAddr>(), u16::try_from(option.port))
                && port != 0
            {
                found.entry(option.id).or_default().push(SocketAddr::new(ip, port));
            }
        }
        let mut changed = false;
        for (dc, mut addresses) in found {
            addresses.sort_by_key(SocketAddr::is_ipv6);
            addresses.dedup();
            addresses.truncate(4);
            let known = self.dcs.entry(dc).or_insert_with(|| DataCentre { addresses: vec![], pinned: false, key: None });
            if !known.pinned && known.addresses != addresses {
                known.addresses = addresses;
                changed = true;
            }
        }
        changed
    }
}

/// The session in use; each change is on disk before it is relied on.
pub(super) struct SessionStore {
    session: Mutex<Session>,
    file: Option<SealedFile>,
}

impl SessionStore {
    /// A session that is kept in `file`, or in memory only.
    pub(super) fn new(session: Session, file: Option<SealedFile>) -> Arc<Self> {
        Arc::new(Self { session: Mutex::new(session), file })
    }

    /// Reads the session in `file`; `None` where there is none.
    pub(super) fn load(file: SealedFile) -> io::Result<Option<Arc<Self>>> {
        let Some(bytes) = file.load()? else { return Ok(None) };
        let session: Session = serde_json::from_slice(&bytes).map_err(|error| {
            // The parser's message could quote what it read.
            io::Error::new(io::ErrorKind::InvalidData, format!("the session is damaged at byte {}", error.column()))
        })?;
        if session.version != VERSION {
            let what = format!("the session has version {}, and this program knows {VERSION}", session.version);
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        Ok(Some(Self::new(session, Some(file))))
    }

    pub(super) fn read(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the session and saves it.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Session) -> T) -> io::Result<T> {
        let mut session = self.read();
        let result = change(&mut session);
        self.save(&session)?;
        Ok(result)
    }

    pub(super) fn learn(&self, config: &types::Config) -> io::Result<()> {
        let mut session = self.read();
        if session.learn(config) { self.save(&session) } else { Ok(()) }
    }

    fn save(&self, session: &Session) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let bytes = Zeroizing::new(serde_json::to_vec(session).map_err(io::Error::other)?);
        file.save(&bytes)
    }

    pub(super) fn follow(&self, server: &CustomServer) -> io::Result<()> {
        let mut session = self.read();
        let changed = session.follow(server).map_err(|what| io::Error::new(io::ErrorKind::InvalidInput, what))?;
        if changed { self.save(&session) } else { Ok(()) }
    }

    /// Forgets the login for good.
    pub(super) fn erase(&self) -> io::Result<()> {
        let mut session = self.read();
        *session = Session::new(session.server.clone());
        self.file.as_ref().map_or(Ok(()), SealedFile::remove)
    }
}

#[cfg(test)]
mod tests {
    use super::super::sealing::tests::Inverted;
    use super::*;

    #[test]
    fn a_session_survives_its_file_and_shows_no_key() {
        let folder = tempfile::tempdir().unwrap();
        let file = SealedFile::new(folder.path().join("a"), Arc::new(Inverted));
        assert!(SessionStore::load(file.clone()).unwrap().is_none());
        let store = SessionStore::new(Session::new(None), Some(file.clone()));
        let key = AuthorizationKey::new(Zeroizing::new([0xAB; 256]));
        store.change(|session| session.dcs.get_mut(&2).unwrap().key = Some(key)).unwrap();
        let loaded = SessionStore::load(file.clone()).unwrap().unwrap();
        assert_eq!(loaded.read().dcs[&2].key.as_ref().unwrap().bytes()[..], [0xAB; 256]);
        assert!(!format!("{:?}", loaded.read()).contains("171"));
        loaded.erase().unwrap();
        assert!(SessionStore::load(file).unwrap().is_none());
    }

    #[test]
    fn the_servers_list_changes_addresses_but_not_what_the_user_gave() {
        let address: SocketAddr = "127.0.0.1:5555".parse().unwrap();
        let mut session = Session::new(Some(CustomServer { address, dc: 2, key_pem: String::new() }));
        let option = |id, ip: &str, port, cdn| {
            enums::DcOption::Option(types::DcOption {
                ipv6: false,
                media_only: false,
                tcpo_only: false,
                cdn,
                r#static: false,
                this_port_only: false,
                id,
                ip_address: ip.into(),
                port,
                secret: None,
            })
        };
        let mut zeros = vec![0; 12];
        zeros.extend(0xbc79_9737_u32.to_le_bytes());
        zeros.extend([0; 4]);
        zeros.extend(0x1cb5_c415_u32.to_le_bytes());
        zeros.extend([0; 200]);
        let mut config = <types::Config as grammers_tl_types::Deserializable>::from_bytes(&zeros).unwrap();
        config.dc_options = vec![
            option(2, "10.0.0.1", 443, false),
            option(4, "10.0.0.4", 443, false),
            option(4, "10.0.0.9", 443, true),
            option(5, "not an address", 443, false),
            option(5, "10.0.0.5", 0, false),
        ];
        assert!(session.learn(&config));
        assert_eq!(session.dcs[&2].addresses, [address]);
        assert_eq!(session.dcs[&4].addresses, ["10.0.0.4:443".parse().unwrap()]);
        assert!(!session.dcs.contains_key(&5));
        assert!(!session.learn(&config));
    }
}
