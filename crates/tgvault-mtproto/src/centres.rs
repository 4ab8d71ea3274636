//! Data centres: where they answer, and the keys agreed on with them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use grammers_tl_types::{enums, types};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::{Zeroize, Zeroizing};

/// Where Telegram's data centres answer (its clients' built-in list); `help.getConfig` keeps it current.
const TELEGRAM: [(i32, [u8; 4], [u16; 8]); 5] = [
    (1, [149, 154, 175, 53], [0x2001, 0xb28, 0xf23d, 0xf001, 0, 0, 0, 0xa]),
    (2, [149, 154, 167, 41], [0x2001, 0x67c, 0x4e8, 0xf002, 0, 0, 0, 0xa]),
    (3, [149, 154, 175, 100], [0x2001, 0xb28, 0xf23d, 0xf003, 0, 0, 0, 0xa]),
    (4, [149, 154, 167, 92], [0x2001, 0x67c, 0x4e8, 0xf004, 0, 0, 0, 0xa]),
    (5, [91, 108, 56, 104], [0x2001, 0xb28, 0xf23f, 0xf005, 0, 0, 0, 0xa]),
];
const TELEGRAM_PORT: u16 = 443;
/// The data centre that a new login begins at.
pub const TELEGRAM_FIRST_DC: i32 = 2;

/// An authorization key; wiped from memory when dropped, never shown.
#[derive(Clone)]
pub struct AuthorizationKey(Zeroizing<[u8; 256]>);

impl AuthorizationKey {
    /// A key of these bytes.
    pub fn new(bytes: Zeroizing<[u8; 256]>) -> Self {
        Self(bytes)
    }

    /// The bytes, wiped when they are dropped.
    pub fn bytes(&self) -> Zeroizing<[u8; 256]> {
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

/// The data centres by number.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DataCentres(BTreeMap<i32, DataCentre>);

impl DataCentres {
    /// Telegram's own.
    pub fn of_telegram() -> Self {
        let centres = TELEGRAM.iter().map(|&(dc, v4, v6)| {
            let addresses = [IpAddr::from(Ipv4Addr::from(v4)), IpAddr::from(Ipv6Addr::from(v6))];
            let addresses = addresses.map(|ip| SocketAddr::new(ip, TELEGRAM_PORT)).to_vec();
            (dc, DataCentre { addresses, pinned: false, key: None })
        });
        Self(centres.collect())
    }

    /// One, at an address that the server's list does not change.
    pub fn at(dc: i32, address: SocketAddr) -> Self {
        Self(BTreeMap::from([(dc, DataCentre { addresses: vec![address], pinned: true, key: None })]))
    }

    /// One of them.
    pub fn get(&self, dc: i32) -> Option<&DataCentre> {
        self.0.get(&dc)
    }

    /// One of them, to change.
    pub fn get_mut(&mut self, dc: i32) -> Option<&mut DataCentre> {
        self.0.get_mut(&dc)
    }

    /// Takes over what the server says about its data centres, and says whether that changed anything.
    pub fn learn(&mut self, config: &types::Config) -> bool {
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
            let known = self.0.entry(dc).or_insert_with(|| DataCentre { addresses: vec![], pinned: false, key: None });
            if !known.pinned && known.addresses != addresses {
                known.addresses = addresses;
                changed = true;
            }
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_list_changes_addresses_but_not_what_the_user_gave() {
        let address: SocketAddr = "127.0.0.1:5555".parse().unwrap();
        let mut centres = DataCentres::at(2, address);
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
        assert!(centres.learn(&config));
        assert_eq!(centres.get(2).unwrap().addresses, [address]);
        assert_eq!(centres.get(4).unwrap().addresses, ["10.0.0.4:443".parse().unwrap()]);
        assert!(centres.get(5).is_none());
        assert!(!centres.learn(&config));
    }
}
