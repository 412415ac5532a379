//! Documents take the place of those of the Python service: inserted or merged, confirmed by a
//! majority, and only then the old one is removed, if it still is what was read.

use mongodb::Database;
use mongodb::bson::{Bson, doc};

use super::super::inventory::find;
use super::super::operations::Operations;
use super::super::{Error, Retries, Written, alerts, completion};
use super::{Adopted, Adoption, aside, count, id, shown_id};
use crate::alert::enrich::merged;

/// Puts alerts into the place of the old ones.
pub(super) async fn adopt(database: Database, batch: &[Adoption]) -> Result<Adopted, Error> {
    let mut done = Adopted::default();
    let documents: Vec<&[u8]> = batch.iter().map(|one| one.new.as_slice()).collect();
    let answers = alerts::insert(&database, alerts::NAME, &documents, Retries::Here).await?;
    let mut replaced: Vec<&[u8]> = Vec::new();
    let mut twice = Vec::new();
    for (one, answer) in batch.iter().zip(answers) {
        match answer {
            Written::New => {
                done.converted += 1;
                replaced.push(&one.old);
            }
            Written::AlreadyThere => twice.push(one),
            Written::Rejected(why) => done.kept.push((shown_id(&one.old), why)),
        }
    }
    for one in twice {
        if merge(&database, &one.new, &mut done).await? {
            done.already_there += 1;
            replaced.push(&one.old);
        } else {
            let why = "its other copy was changed at this moment; run migrate again";
            done.kept.push((shown_id(&one.old), why.to_owned()));
        }
    }
    for (old, why) in remove(&database, alerts::NAME, &replaced).await? {
        done.kept.push((shown_id(old), why));
    }
    Ok(done)
}

/// Gives the copy that is there what it lacks. False if it changed under our hands.
async fn merge(database: &Database, new: &[u8], done: &mut Adopted) -> Result<bool, Error> {
    let id = shown_id(new);
    let mut there = find(database, alerts::NAME, std::slice::from_ref(&id)).await?;
    let Some(stored) = there.remove(&id) else {
        return Ok(false);
    };
    // What was erased stays erased: nothing of it comes back.
    let is_erased = stored.get("_erased_at").ok().flatten().is_some();
    let Some(both) = merged(stored.as_bytes(), new).filter(|_| !is_erased) else {
        return Ok(true);
    };
    let is_merged = completion::replace(database, &stored, &both).await?;
    done.merged += u64::from(is_merged);
    Ok(is_merged)
}

pub(super) async fn set_aside(
    database: Database,
    collection: &str,
    documents: &[Vec<u8>],
) -> Result<u64, Error> {
    let mut copies = Operations::updates();
    for document in documents {
        copies.put(document);
    }
    let refused = copies.run(&database, &aside(collection)).await?;
    if let Some((_, why)) = refused.into_iter().next() {
        return Err(Error::Rejected(format!("{}: {why}", aside(collection))));
    }
    let all: Vec<&[u8]> = documents.iter().map(Vec::as_slice).collect();
    let left = remove(&database, collection, &all).await?;
    Ok((all.len() - left.len()) as u64)
}

/// Removes documents that still are what was read. Gives those that stay, with the reason.
async fn remove<'a>(
    database: &Database,
    collection: &str,
    documents: &[&'a [u8]],
) -> Result<Vec<(&'a [u8], String)>, Error> {
    let mut left = Vec::new();
    if documents.is_empty() {
        return Ok(left);
    }
    match remove_all(database, collection, documents).await {
        Ok(count) if count == documents.len() => return Ok(left),
        // Which of them? Each by itself says so; those that are gone count as removed.
        Ok(_) | Err(Error::Rejected(_)) => {}
        Err(error) => return Err(error),
    }
    for document in documents {
        match remove_all(database, collection, std::slice::from_ref(document)).await {
            Ok(1) => {}
            Ok(_) if !is_there(database, collection, document).await? => {}
            Ok(_) => {
                let why = "it was changed at this moment; run migrate again";
                left.push((*document, why.to_owned()));
            }
            Err(Error::Rejected(why)) => {
                left.push((
                    *document,
                    format!("it is written anew, but stays beside: {why}"),
                ));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(left)
}

async fn remove_all(
    database: &Database,
    collection: &str,
    documents: &[&[u8]],
) -> Result<usize, Error> {
    let mut deletes = Operations::deletes();
    for document in documents {
        deletes.delete_unchanged(document);
    }
    let (refused, count) = deletes.run_counted(database, collection).await?;
    match refused.into_iter().next() {
        None => Ok(count),
        Some((_, why)) => Err(Error::Rejected(why)),
    }
}

async fn is_there(database: &Database, collection: &str, document: &[u8]) -> Result<bool, Error> {
    let id = id(document).and_then(|id| Bson::try_from(id).ok());
    Ok(count(database, collection, doc! { "_id": id }).await? > 0)
}
