//! Who may ask: whoever has the address that the program printed, from this machine, and no page of anybody else.
//!
//! Cookies know no ports, so ours is bound to a path that nobody can guess; a name that was rebound to loopback comes with its own
//! `Host`; requests that another site causes say so in `Sec-Fetch-Site`.

use std::sync::atomic::{AtomicBool, Ordering};

use http::HeaderMap;
use http::header::{COOKIE, HOST};

/// The name of our cookie.
const COOKIE_NAME: &str = "tgvault";

/// What lets somebody in.
pub struct Access {
    port: u16,
    /// The secret folder of all pages.
    folder: String,
    /// The cookie's value.
    cookie: String,
    /// Opens the door once.
    token: String,
    is_used: AtomicBool,
}

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The request is for another host, as of a name that was rebound.
    Host,
    /// Another site caused it.
    CrossSite,
    /// It has no cookie of ours, or another one.
    Stranger,
}

impl Access {
    /// Access to a server at this port of loopback.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn new(port: u16) -> Result<Self, getrandom::Error> {
        Ok(Self { port, folder: secret()?, cookie: secret()?, token: secret()?, is_used: AtomicBool::new(false) })
    }

    /// The address to open, good for one time.
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}/open/{}", self.port, self.token)
    }

    /// The folder of all pages, with a slash at both ends.
    pub fn folder(&self) -> String {
        format!("/s/{}/", self.folder)
    }

    /// The cookie to set, where this is the path of [`Self::address`] and nobody used it yet.
    pub fn open(&self, path: &str) -> Option<String> {
        let token = path.strip_prefix("/open/")?;
        let is_first = is_same(token, &self.token) && !self.is_used.swap(true, Ordering::SeqCst);
        is_first.then(|| format!("{COOKIE_NAME}={}; Path={}; HttpOnly; SameSite=Strict", self.cookie, self.folder()))
    }

    /// Checks what every request must have.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn check_origin(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let text = |name| headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
        let host = text(HOST.as_str()).unwrap_or_default();
        let own = ["127.0.0.1", "localhost", "[::1]"].map(|name| format!("{name}:{}", self.port));
        if headers.get_all(HOST).iter().count() != 1 || !own.iter().any(|own| own == host) {
            return Err(Refusal::Host);
        }
        match text("sec-fetch-site") {
            None | Some("same-origin" | "none") => Ok(()),
            Some(_) => Err(Refusal::CrossSite),
        }
    }

    /// The path below [`Self::folder`] that is asked for, for whoever has the cookie.
    ///
    /// # Errors
    /// [`Refusal::Stranger`] for everybody else.
    pub fn inside<'a>(&self, path: &'a str, headers: &HeaderMap) -> Result<&'a str, Refusal> {
        let rest = path.strip_prefix("/s/").and_then(|rest| rest.split_once('/'));
        let (folder, rest) = rest.ok_or(Refusal::Stranger)?;
        let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs = cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let has_cookie = pairs.any(|(name, value)| name == COOKIE_NAME && is_same(value, &self.cookie));
        if is_same(folder, &self.folder) && has_cookie { Ok(rest) } else { Err(Refusal::Stranger) }
    }
}

/// 128 random bits as text.
fn secret() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Compares in a time that does not tell where texts differ.
fn is_same(given: &str, secret: &str) -> bool {
    given.len() == secret.len() && given.bytes().zip(secret.bytes()).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn the_door_opens_once() {
        let access = Access::new(7000).unwrap();
        let path = access.address().strip_prefix("http://127.0.0.1:7000").unwrap().to_owned();
        assert_eq!(access.open("/open/"), None);
        assert_eq!(access.open(&path.to_uppercase()), None);
        let cookie = access.open(&path).unwrap();
        assert!(cookie.contains("HttpOnly; SameSite=Strict") && cookie.contains(&access.folder()), "{cookie}");
        assert_eq!(access.open(&path), None);
    }

    #[test]
    fn only_the_cookie_lets_in() {
        let access = Access::new(7000).unwrap();
        let path = access.address().strip_prefix("http://127.0.0.1:7000").unwrap().to_owned();
        let cookie = access.open(&path).unwrap().split(';').next().unwrap().to_owned();
        let page = format!("{}lists/chats.html", access.folder());
        assert_eq!(access.inside(&page, &headers(&[("cookie", &format!("a=b; {cookie}"))])), Ok("lists/chats.html"));
        assert_eq!(access.inside(&page, &headers(&[])), Err(Refusal::Stranger));
        assert_eq!(access.inside(&page, &headers(&[("cookie", "tgvault=")])), Err(Refusal::Stranger));
        assert_eq!(access.inside("/s/0/lists/chats.html", &headers(&[("cookie", &cookie)])), Err(Refusal::Stranger));
        assert_eq!(access.inside("/", &headers(&[("cookie", &cookie)])), Err(Refusal::Stranger));
    }

    #[test]
    fn other_hosts_and_other_sites_are_refused() {
        let access = Access::new(7000).unwrap();
        for host in ["127.0.0.1:7000", "localhost:7000", "[::1]:7000"] {
            assert_eq!(access.check_origin(&headers(&[("host", host)])), Ok(()));
            assert_eq!(access.check_origin(&headers(&[("host", host), ("sec-fetch-site", "none")])), Ok(()));
            for site in ["cross-site", "same-site", "anything"] {
                assert_eq!(access.check_origin(&headers(&[("host", host), ("sec-fetch-site", site)])), Err(Refusal::CrossSite));
            }
        }
        for host in ["rebind.test:7000", "127.0.0.1", "127.0.0.1:7001", "127.0.0.1:7000.rebind.test", ""] {
            assert_eq!(access.check_origin(&headers(&[("host", host)])), Err(Refusal::Host), "{host}");
        }
        assert_eq!(access.check_origin(&headers(&[])), Err(Refusal::Host));
    }
}
