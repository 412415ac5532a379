//! One way to a manager: `https://host:55000`, perhaps with a path in front of Wazuh's own.

use std::net::IpAddr;

use ureq::http::Uri;

use super::Error;

/// A checked address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// All that stands before Wazuh's own path; no slash at its end.
    base: String,
    host: String,
    port: u16,
    is_tls: bool,
}

impl Address {
    /// Reads an address; plain HTTP only leads to this host, unless `anywhere`.
    pub(super) fn read(url: &str, anywhere: bool) -> Result<Self, Error> {
        let fault = |why: &str| Error::Settings(format!("wazuh_api.url: {why}"));
        let wanted = "write for example https://wazuh.example:55000";
        let uri: Uri = url.trim().parse().map_err(|_| fault(wanted))?;
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(fault(wanted)),
        };
        let authority = uri.authority().ok_or_else(|| fault(wanted))?;
        if authority.as_str().contains('@') {
            let why = "the login does not belong into the address; set user and password";
            return Err(fault(why));
        }
        if uri.query().is_some() {
            return Err(fault(wanted));
        }
        let host = authority.host().trim_matches(['[', ']']).to_lowercase();
        if host.is_empty() {
            return Err(fault(wanted));
        }
        if !is_tls && !anywhere && !is_loopback(&host) {
            let why =
                format!("http:// would send the password in the clear to {host}; use https://");
            return Err(fault(&why));
        }
        let port = authority
            .port_u16()
            .unwrap_or(if is_tls { 443 } else { 80 });
        let path = uri.path().trim_end_matches('/');
        let scheme = if is_tls { "https" } else { "http" };
        Ok(Self {
            base: format!("{scheme}://{authority}{path}"),
            host,
            port,
            is_tls,
        })
    }

    /// The whole address of one of Wazuh's paths.
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// `host:port`, for messages and as the name under which a certificate is trusted.
    pub(super) fn name(&self) -> String {
        if self.host.contains(':') {
            return format!("[{}]:{}", self.host, self.port);
        }
        format!("{}:{}", self.host, self.port)
    }

    /// Without brackets around an IPv6 address.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn is_tls(&self) -> bool {
        self.is_tls
    }

    pub(super) fn is_loopback(&self) -> bool {
        is_loopback(&self.host)
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_and_named() {
        let read = |url: &str| Address::read(url, false).unwrap();
        let plain = read("https://Wazuh.example:55000/");
        assert_eq!(plain.name(), "wazuh.example:55000");
        assert_eq!(plain.url("/agents"), "https://Wazuh.example:55000/agents");
        let behind = read("https://proxy/wazuh/api/");
        assert_eq!(behind.url("/agents"), "https://proxy/wazuh/api/agents");
        assert_eq!(behind.port(), 443);
        let six = read("http://[::1]:55000");
        assert_eq!((six.host(), six.name()), ("::1", "[::1]:55000".to_owned()));
    }

    #[test]
    fn what_is_no_address_or_unsafe_is_refused_with_the_fix() {
        let refused = |url: &str| match Address::read(url, false) {
            Err(Error::Settings(why)) => why,
            other => panic!("{url}: {other:?}"),
        };
        for url in ["wazuh", "ftp://a", "https://", "", "https://a/?x=1"] {
            assert!(
                refused(url).contains("https://wazuh.example:55000"),
                "{url}"
            );
        }
        assert!(refused("http://wazuh.example:55000").contains("https://"));
        let login = refused("https://ann:hush@wazuh.example:55000");
        assert!(
            login.contains("user and password") && !login.contains("hush"),
            "{login}"
        );
        assert!(Address::read("http://wazuh.example:55000", true).is_ok());
    }
}
