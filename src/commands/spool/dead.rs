//! `spool dead`: alerts that MongoDB will never take, or that are none.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::Spools;
use crate::alert::enrich::{Receipt, Source};
use crate::alert::time::rfc3339;
use crate::commands::{Format, output, status};
use crate::delivery;
use crate::spool::{DeadSummary, Spool};

/// What to do with dead letters.
#[derive(Debug, Clone)]
pub enum Dead {
    /// Show all, a line each.
    List,
    /// Write the bytes of one to stdout; to a terminal only what can be seen of them.
    Show(String),
    /// Put one (or `all`) into the spool again.
    Retry(String),
    /// Delete one (or `all`).
    Drop(String),
}

impl Spools<'_> {
    /// Works on the dead letters of all destinations.
    ///
    /// # Errors
    ///
    /// Names the dead letter.
    pub fn dead(&self, what: &Dead) -> Result<u8> {
        match what {
            Dead::List => self.dead_list(),
            Dead::Show(id) => self.dead_show(id),
            Dead::Retry(id) => self.for_each_dead(id, "put into the spool", Self::retry),
            Dead::Drop(id) => {
                self.for_each_dead(id, "dropped", |spool, dead| Ok(spool.dead_drop(&dead.id)?))
            }
        }
    }

    fn letters(&self) -> Result<Vec<(Spool, DeadSummary)>> {
        let mut letters = Vec::new();
        for name in self.all()? {
            for dead in self.spool(&name).dead()? {
                letters.push((self.spool(&name), dead));
            }
        }
        Ok(letters)
    }

    fn dead_list(&self) -> Result<u8> {
        let letters = self.letters()?;
        let row = |(_, dead): &(Spool, DeadSummary)| {
            json!({
                "id": dead.id,
                "received_at": rfc3339(dead.received_at_ms),
                "source": Source::of_code(dead.source).name(),
                "bytes": dead.bytes,
                "reason": dead.reason,
            })
        };
        let rows: Vec<Value> = letters.iter().map(row).collect();
        self.print_rows(&rows, &["id", "received_at", "source", "bytes", "reason"]);
        Ok(status::DONE)
    }

    fn dead_show(&self, id: &str) -> Result<u8> {
        let letters = self.letters()?;
        let Some((spool, dead)) = letters.iter().find(|(_, dead)| dead.id == id) else {
            bail!("there is no dead letter {id}; see custom-mongo spool dead list");
        };

        let letter = spool.dead_show(&dead.id)?;
        output::error_line(&format!(
            "{}: {}",
            rfc3339(dead.received_at_ms),
            dead.reason
        ));
        output::raw(&letter.raw);
        Ok(status::DONE)
    }

    fn for_each_dead(
        &self,
        id: &str,
        done: &str,
        act: impl Fn(&Spool, &DeadSummary) -> Result<()>,
    ) -> Result<u8> {
        let letters = self.letters()?;
        let chosen = letters
            .iter()
            .filter(|(_, dead)| id == "all" || dead.id == id);
        let mut count = 0;
        for (spool, dead) in chosen {
            act(spool, dead).with_context(|| format!("dead letter {}", dead.id))?;
            count += 1;
        }
        if count == 0 && id != "all" {
            bail!("there is no dead letter {id}; see custom-mongo spool dead list");
        }
        match self.format {
            Format::Json => output::json(&json!({ "dead_letters": count })),
            Format::Quiet => {}
            Format::Text => output::line(&format!("{count} {done}")),
        }
        Ok(status::DONE)
    }

    /// Spool first, then delete: a crash in between leaves it in both places, never in none.
    fn retry(spool: &Spool, dead: &DeadSummary) -> Result<()> {
        let letter = spool.dead_show(&dead.id)?;
        let receipt = Receipt {
            received_at: letter.received_at_ms,
            source: Source::of_code(letter.source),
            options: &letter.options,
        };
        spool.put(&delivery::entry(&letter.raw, &receipt))?;
        Ok(spool.dead_drop(&dead.id)?)
    }
}
