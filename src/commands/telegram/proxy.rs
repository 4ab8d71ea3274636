//! The proxy to Telegram: where it is named, and the links that people have.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use secrecy::ExposeSecret;
use url::{Host, Url};
use zeroize::Zeroizing;

use crate::commands::context::Context;
use crate::commands::error::CommandError;
use crate::commands::secrets;
use crate::source::telegram::{Proxy, ProxyKind, ProxyLogin, ProxySecret};

/// The variable with the proxy's address: not an option's own, because a password may stand in it.
const VARIABLE: &str = "TGVAULT_PROXY";
/// The variable with the password alone.
const PASSWORD: &str = "TGVAULT_PROXY_PASSWORD";
/// Without a proxy, whatever the profile has.
const NONE: &str = "none";

const HINT: &str = "write socks5://USER@HOST:PORT, http://USER@HOST:PORT, or none; links such as tg://proxy?server=HOST&port=PORT&secret=SECRET \
     work in TGVAULT_PROXY and the profile";

/// The proxy that is asked for, with its password from wherever that is.
///
/// # Errors
/// When the address cannot be used, stands in an argument with a password or secret, or the password is missing or cannot be read.
pub fn proxy(option: Option<&str>, password_file: Option<&PathBuf>, context: &Context) -> Result<Option<Proxy>, CommandError> {
    let profile = &context.settings.telegram;
    let variable = std::env::var(VARIABLE).ok().filter(|text| !text.is_empty()).map(Zeroizing::new);
    let (text, from) = match (option, &variable, &profile.proxy) {
        (Some(text), _, _) => (text, "--proxy"),
        (None, Some(text), _) => (text.as_str(), VARIABLE),
        (None, None, Some(text)) => (text.0.as_str(), "the profile's `proxy`"),
        (None, None, None) => return Ok(None),
    };
    if text == NONE {
        return Ok(None);
    }
    let unusable = |why: String| CommandError::usage(format!("{from} cannot be used: {why}"), HINT);
    let mut proxy = read(text).map_err(unusable)?;
    if option.is_some() && matches!(proxy.kind, ProxyKind::MtProxy(_)) {
        return Err(CommandError::usage(
            "--proxy has the secret of an MTProxy in it, which other users of this machine could see",
            format!("put the link into {VARIABLE} or the profile's `proxy`"),
        ));
    }
    let (ProxyKind::Socks5(Some(login)) | ProxyKind::Http(Some(login))) = &mut proxy.kind else { return Ok(Some(proxy)) };
    if !login.password.is_empty() {
        if option.is_some() {
            return Err(CommandError::usage(
                "--proxy has a password in it, which other users of this machine could see",
                format!("use --proxy-password-file, {PASSWORD}, or put the whole address into {VARIABLE} or the profile"),
            ));
        }
        return Ok(Some(proxy));
    }
    let given = std::env::var(PASSWORD).ok().filter(|password| !password.is_empty()).map(Zeroizing::new);
    // The profile's password is for the profile's proxy, and no other gets it.
    let is_of_profile = option.is_none() && variable.is_none();
    let of_profile = (profile.proxy_password_file.as_ref(), &profile.proxy_password_command);
    let (file, command) = if is_of_profile && given.is_none() { of_profile } else { (None, &None) };
    let line = match (password_file.or(file), given, command) {
        (Some(file), _, _) => secrets::file_line("proxy password", file, &mut |text| context.output.warn(&text))?,
        (None, Some(password), _) => {
            login.password = password;
            return Ok(Some(proxy));
        }
        (None, None, Some(command)) => secrets::command_line("proxy password", command.as_ref())?,
        (None, None, None) => {
            return Err(CommandError::usage(
                format!("{from} names a user, and no password was given"),
                format!("use --proxy-password-file or {PASSWORD}"),
            ));
        }
    };
    login.password = Zeroizing::new(line.expose_secret().to_owned());
    Ok(Some(proxy))
}

/// Reads an address or a link. Errors never repeat it: it may hold a secret.
fn read(text: &str) -> Result<Proxy, String> {
    let url = Url::parse(text.trim()).map_err(|error| error.to_string())?;
    let is_link = url.scheme() == "tg" || matches!(url.host_str(), Some("t.me" | "telegram.me" | "telegram.dog"));
    if is_link {
        return read_link(&url);
    }
    let (usual_port, kind): (u16, fn(Option<ProxyLogin>) -> ProxyKind) = match url.scheme() {
        "socks5" | "socks5h" => (1080, ProxyKind::Socks5),
        "http" => (80, ProxyKind::Http),
        "https" => return Err("a proxy that is itself reached over HTTPS is not supported".into()),
        "socks4" | "socks4a" => return Err("SOCKS4 is not supported; most of its servers speak SOCKS5 too".into()),
        _ => return Err("its first word is none of socks5, http and tg".into()),
    };
    let host = match url.host() {
        Some(Host::Ipv6(address)) => address.to_string(),
        Some(Host::Ipv4(address)) => address.to_string(),
        Some(Host::Domain(name)) if !name.is_empty() => decoded(name)?.to_string(),
        _ => return Err("it names no host".into()),
    };
    if !matches!(url.path(), "" | "/") || url.query().is_some() {
        return Err("something follows the port".into());
    }
    let password = url.password().map_or_else(|| Ok(Zeroizing::default()), decoded)?;
    let login = (!url.username().is_empty()).then(|| Ok::<_, String>(ProxyLogin { user: decoded(url.username())?.to_string(), password }));
    Ok(Proxy { host, port: url.port().unwrap_or(usual_port), kind: kind(login.transpose()?) })
}

/// A link as Telegram's apps share it.
fn read_link(url: &Url) -> Result<Proxy, String> {
    let what = if url.scheme() == "tg" { url.host_str().unwrap_or_default() } else { url.path().trim_matches('/') };
    let value = |key: &str| url.query_pairs().find(|(name, _)| name == key).map(|(_, value)| Zeroizing::new(value.into_owned()));
    let needed = |key: &str| value(key).filter(|value| !value.is_empty()).ok_or_else(|| format!("the link has no {key}"));
    let host = || Ok::<_, String>(needed("server")?.trim_matches(['[', ']']).to_owned());
    let port = || needed("port")?.parse().ok().filter(|&port| port != 0).ok_or_else(|| "the link's port is no port".to_owned());
    let kind = match what {
        "proxy" => ProxyKind::MtProxy(ProxySecret::from_text(&needed("secret")?).map_err(|error| error.to_string())?),
        "socks" => {
            let user = value("user").filter(|user| !user.is_empty());
            let login = |user: Zeroizing<String>| ProxyLogin { user: user.to_string(), password: value("pass").unwrap_or_default() };
            ProxyKind::Socks5(user.map(login))
        }
        _ => return Err("the link is to no proxy".into()),
    };
    Ok(Proxy { host: host()?, port: port()?, kind })
}

fn decoded(text: &str) -> Result<Zeroizing<String>, String> {
    let text = percent_decode_str(text).decode_utf8().map_err(|_| "a part of it is not UTF-8".to_owned())?;
    Ok(Zeroizing::new(text.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "000102030405060708090a0b0c0d0e0f";

    fn told(text: &str) -> Result<String, String> {
        let proxy = read(text)?;
        let kind = match &proxy.kind {
            ProxyKind::Socks5(None) => "socks5".to_owned(),
            ProxyKind::Socks5(Some(login)) => format!("socks5 {} {}", login.user, *login.password),
            ProxyKind::Http(None) => "http".to_owned(),
            ProxyKind::Http(Some(login)) => format!("http {} {}", login.user, *login.password),
            ProxyKind::MtProxy(_) => "mtproxy".to_owned(),
        };
        Ok(format!("{proxy} {kind}"))
    }

    #[test]
    fn addresses_and_links_as_people_have_them() {
        for (text, expected) in [
            ("socks5://proxy.example:1081", "proxy.example:1081 socks5"),
            ("socks5h://anna@[::1]", "[::1]:1080 socks5 anna "),
            ("socks5://an%40na:p%3Aw%2F@127.0.0.1:9", "127.0.0.1:9 socks5 an@na p:w/"),
            ("http://127.0.0.1:3128/", "127.0.0.1:3128 http"),
            ("http://anna:x@proxy.example", "proxy.example:80 http anna x"),
            ("tg://socks?server=1.2.3.4&port=5&user=anna&pass=x%20y", "1.2.3.4:5 socks5 anna x y"),
            ("https://t.me/socks?server=1.2.3.4&port=5", "1.2.3.4:5 socks5"),
        ] {
            assert_eq!(told(text), Ok(expected.to_owned()), "{text}");
        }
        for secret in
            [KEY, &KEY.to_uppercase(), &format!("dd{KEY}"), "AAECAwQFBgcICQoLDA0ODw", "3QABAgMEBQYHCAkKCwwNDg8=", "-_-_-_-_-_-_-_-_-_-_-w"]
        {
            for link in ["tg://proxy?", "https://t.me/proxy?", "http://telegram.me/proxy?"] {
                let text = format!("{link}server=mt.example&port=443&secret={secret}");
                assert_eq!(told(&text), Ok("mt.example:443 mtproxy".to_owned()), "{text}");
            }
        }
    }

    #[test]
    fn what_cannot_be_used_is_explained_and_not_repeated() {
        for (text, why) in [
            ("proxy.example:1080".to_owned(), "none of socks5, http and tg"),
            ("ftp://proxy.example".to_owned(), "none of socks5, http and tg"),
            ("socks4://proxy.example".to_owned(), "SOCKS4"),
            ("https://hunter2:hunter2@proxy.example".to_owned(), "over HTTPS"),
            ("socks5://".to_owned(), "host"),
            ("socks5://a:hunter2@h:1/path".to_owned(), "follows the port"),
            ("socks5://a:hunter2@h:99999".to_owned(), "port"),
            ("tg://resolve?domain=hunter2".to_owned(), "to no proxy"),
            ("https://t.me/hunter2".to_owned(), "to no proxy"),
            (format!("tg://proxy?server=h&port=0&secret={KEY}"), "no port"),
            (format!("tg://proxy?port=1&secret={KEY}"), "no server"),
            ("tg://proxy?server=h&port=1".to_owned(), "no secret"),
            ("tg://proxy?server=h&port=1&secret=hunter2!".to_owned(), "neither hexadecimal nor base64"),
            ("tg://proxy?server=h&port=1&secret=abcd".to_owned(), "2 bytes"),
            (format!("tg://proxy?server=h&port=1&secret=ee{KEY}6578616d706c652e636f6d"), "imitates HTTPS"),
        ] {
            let error = told(&text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
            assert!(!error.contains("hunter2") && !error.contains(KEY), "{error}");
        }
    }
}
