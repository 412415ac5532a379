//! `token new|list|drop`: who may use the service.

use anyhow::{Result, anyhow};
use serde_json::json;

use super::{Format, now, output, status};
use crate::alert::time::rfc3339;
use crate::home::Home;
use crate::serve::{Scope, Token, TokenFile};

/// The tokens of this host.
pub struct Tokens {
    file: TokenFile,
    format: Format,
}

impl Tokens {
    /// Becomes the state folder's owner first.
    ///
    /// # Errors
    ///
    /// Names the folder.
    pub fn open(home: &Home, format: Format) -> Result<Self> {
        home.enter()?;
        let file = TokenFile::of(home.state());
        Ok(Self { file, format })
    }

    /// Makes a token and prints it.
    ///
    /// # Errors
    ///
    /// A name that is taken or none, a file that cannot be written.
    pub fn make(&self, name: &str, scopes: &[Scope], site: Option<&str>) -> Result<u8> {
        let mut scopes = scopes.to_vec();
        scopes.dedup();
        let token = self.file.add(name, &scopes, site, now());
        let token = token.map_err(|why| anyhow!(why))?;
        // What was asked for is printed also for whoever wants nothing else said.
        match self.format {
            Format::Json => output::json(&json!({ "name": name, "token": token.expose() })),
            Format::Text | Format::Quiet => output::line(token.expose()),
        }
        Ok(status::DONE)
    }

    /// Lists them.
    ///
    /// # Errors
    ///
    /// A file that cannot be read.
    pub fn list(&self) -> Result<u8> {
        let tokens = self.file.read().map_err(|why| anyhow!(why))?;
        if self.format == Format::Json {
            let rows: Vec<_> = tokens.iter().map(row).collect();
            output::json(&json!({ "tokens": rows }));
            return Ok(status::DONE);
        }
        for token in &tokens {
            let site = token.site.as_deref().unwrap_or("all sites");
            let made = rfc3339(token.created_ms);
            output::line(&format!(
                "{}  {}  {site}  made {made}",
                token.name,
                scopes(token)
            ));
        }
        if tokens.is_empty() {
            output::line("No token yet; custom-mongo token new makes one.");
        }
        Ok(status::DONE)
    }

    /// Takes one away.
    ///
    /// # Errors
    ///
    /// There is none of this name.
    pub fn drop(&self, name: &str) -> Result<u8> {
        self.file.remove(name).map_err(|why| anyhow!(why))?;
        Ok(status::DONE)
    }
}

fn row(token: &Token) -> serde_json::Value {
    json!({
        "name": token.name,
        "scope": token.scope,
        "site": token.site,
        "created": rfc3339(token.created_ms),
    })
}

fn scopes(token: &Token) -> String {
    let names: Vec<_> = token.scope.iter().map(|scope| scope.name()).collect();
    names.join(",")
}
