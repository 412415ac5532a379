//! From the settings to a client, and the limit around everything that it does. The driver has no
//! socket timeout: a server that freezes after connecting is only survived by a limit of our own.

use std::future::Future;
use std::time::Duration;

use mongodb::error::ErrorKind;
use mongodb::options::{
    Acknowledgment, ClientOptions, ConnectionString, HostInfo, ServerAddress, ServerMonitoringMode,
    Tls, TlsOptions, WriteConcern,
};
use tokio::runtime::{Builder, Runtime};

use super::{Error, Settings, credentials, refusal};
use crate::certificate;
use crate::setting::Secret;

pub(super) fn runtime() -> Result<Runtime, Error> {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Error::Unavailable(format!("cannot start the driver: {error}")))
}

/// Runs the work, at most for so long.
pub(super) fn limit<T>(
    runtime: &Runtime,
    within: Duration,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let limited = async { tokio::time::timeout(within, work).await };
    runtime.block_on(limited).unwrap_or_else(|_| {
        Err(Error::Unavailable(format!(
            "MongoDB gave no answer within {} ms",
            within.as_millis()
        )))
    })
}

/// As `limit`; the message names the servers.
pub(super) fn within<T>(
    runtime: &Runtime,
    within: Duration,
    settings: &Settings,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    limit(runtime, within, work).map_err(|error| match error {
        Error::Unavailable(why) => Error::Unavailable(format!("{}: {why}", settings.servers())),
        other => other,
    })
}

/// Looks at the settings as far as that is possible without the network.
///
/// # Errors
///
/// `Settings`, with what is wrong.
pub fn validate(settings: &Settings) -> Result<(), Error> {
    let uri = login_uri(settings)?;
    let refused = |error| refused(&error, settings);
    let mut parsed = ConnectionString::parse(&uri).map_err(refused)?;
    // Whom `mongodb+srv` stands for, only the network knows.
    if let HostInfo::DnsRecord(host) = parsed.host_info {
        let one = ServerAddress::Tcp { host, port: None };
        parsed.host_info = HostInfo::HostIdentifiers(vec![one]);
    }
    let runtime = runtime()?;
    let options = runtime.block_on(async { ClientOptions::parse(parsed).await });
    let mut options = options.map_err(refused)?;
    set_tls(settings, &mut options)?;
    check_authorities(&options)?;
    // Certificates are read when a client is made; it connects only when it is asked something.
    let context = runtime.enter();
    let made = mongodb::Client::with_options(options);
    drop(context);
    made.map(drop).map_err(|error| match error.kind.as_ref() {
        ErrorKind::Io(cause) => Error::Settings(format!(
            "store.uri: the file of tlsCertificateKeyFile cannot be read: {cause}"
        )),
        _ => refused(error),
    })
}

/// The driver takes a file without any for one that trusts nobody.
fn check_authorities(options: &ClientOptions) -> Result<(), Error> {
    let Some(Tls::Enabled(tls)) = &options.tls else {
        return Ok(());
    };
    let file = tls.ca_file_path.as_deref();
    file.map_or(Ok(()), certificate::hold_authority)
        .map_err(|why| Error::Settings(format!("TLS: {why}; see store.ca_file")))
}

/// The connection string with the login in it.
fn login_uri(settings: &Settings) -> Result<String, Error> {
    let (uri, password) = (settings.uri()?, settings.password()?);
    let username = settings.username.as_deref();
    Ok(credentials::with_login(
        uri.expose(),
        username,
        password.as_ref(),
    ))
}

/// A client for an async program. The secrets are read beside its thread: a command may take long.
pub(super) async fn client(
    settings: &Settings,
    within: Duration,
) -> Result<mongodb::Client, Error> {
    let owned = settings.clone();
    let uri = tokio::task::spawn_blocking(move || login_uri(&owned)).await;
    let uri = uri.map_err(|_| Error::Unavailable("the secrets could not be read".to_owned()))??;
    let options = options_of(&uri, settings, within).await?;
    mongodb::Client::with_options(options).map_err(|error| refused(&error, settings))
}

pub(super) async fn options(settings: &Settings, within: Duration) -> Result<ClientOptions, Error> {
    options_of(&login_uri(settings)?, settings, within).await
}

async fn options_of(
    uri: &str,
    settings: &Settings,
    within: Duration,
) -> Result<ClientOptions, Error> {
    let mut options = ClientOptions::parse(uri)
        .await
        .map_err(|error| refused(&error, settings))?;
    options
        .app_name
        .get_or_insert_with(|| "custom-mongo".to_owned());
    // Streaming would hold a third connection open.
    options.server_monitoring_mode = Some(ServerMonitoringMode::Poll);
    // A little earlier than the limit around it, since the driver knows the cause.
    options.server_selection_timeout = Some(within.mul_f32(0.9));
    options.connect_timeout = Some(within);
    options.write_concern = Some(write_concern(options.write_concern.take()));
    set_tls(settings, &mut options)?;
    Ok(options)
}

/// Majority and journal, whatever number the connection string says: fewer would let an alert be
/// lost after we said yes. A named concern is an operator's own and stays.
fn write_concern(written: Option<WriteConcern>) -> WriteConcern {
    let w = match written.and_then(|concern| concern.w) {
        Some(Acknowledgment::Custom(name)) => Acknowledgment::Custom(name),
        _ => Acknowledgment::Majority,
    };
    WriteConcern::builder().w(w).journal(true).build()
}

fn set_tls(settings: &Settings, options: &mut ClientOptions) -> Result<(), Error> {
    let (ca, certificate) = (&settings.ca_file, &settings.client_certificate_file);
    for (name, file) in [("ca_file", ca), ("client_certificate_file", certificate)] {
        if let Some(Err(error)) = file.as_ref().map(std::fs::File::open) {
            let file = file
                .as_ref()
                .map(|file| file.display().to_string())
                .unwrap_or_default();
            return Err(Error::Settings(format!(
                "store.{name}: cannot read {file}: {error}"
            )));
        }
    }
    if ca.is_none() && certificate.is_none() {
        return Ok(());
    }
    let mut tls = match options.tls.take() {
        Some(Tls::Enabled(tls)) => tls,
        _ => TlsOptions::default(),
    };
    tls.ca_file_path = ca.clone().or(tls.ca_file_path);
    tls.cert_key_file_path = certificate.clone().or(tls.cert_key_file_path);
    options.tls = Some(Tls::Enabled(tls));
    Ok(())
}

/// The driver's refusal of the settings, or its failure to look up `mongodb+srv`.
pub(super) fn refused(error: &mongodb::error::Error, settings: &Settings) -> Error {
    let uri = settings.uri().ok();
    let uri = uri.as_ref().map(Secret::expose).unwrap_or_default();
    let password = settings.password().ok().flatten();
    refusal::sort(error).map(|text| credentials::scrub(&text, uri, password.as_ref()))
}
