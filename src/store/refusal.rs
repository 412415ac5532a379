//! The driver's and the server's errors, sorted into what is worth another try and what is not,
//! in one line each that says what to do.

use mongodb::error::{Error as DriverError, ErrorKind};

use super::Error;

/// Codes of a write error that are not the document's fault (server's `error_codes.yml`): the
/// server is stepping down, shutting down, full, busy, or forbids the login to write.
const NOT_THE_DOCUMENT: [i32; 31] = [
    1, 6, 7, 8, 13, 18, 24, 46, 50, 63, 64, 79, 89, 91, 96, 100, 112, 133, 146, 189, 262, 8000,
    9001, 10058, 10107, 11600, 11601, 11602, 13388, 13435, 14031,
];

const UNAUTHORIZED: i32 = 13;

/// Codes of a failed command that are the fault of a document in it: `BadValue`, `FailedToParse`,
/// `Overflow` (nesting), `InvalidBSON`, `DollarPrefixedFieldName`, `DocumentValidationFailure`,
/// `BSONObjectTooLarge`, and invalid or too large BSON before any command is read.
const THE_DOCUMENT: [i32; 10] = [2, 9, 15, 22, 52, 121, 10334, 17280, 17419, 17420];

impl Error {
    /// The same error with another text.
    pub(super) fn map(self, change: impl FnOnce(String) -> String) -> Self {
        match self {
            Self::Unavailable(text) => Self::Unavailable(change(text)),
            Self::Rejected(text) => Self::Rejected(change(text)),
            Self::Settings(text) => Self::Settings(change(text)),
        }
    }
}

/// Whether a write error with this code is the document's own fault.
pub(super) fn is_documents_fault(code: i32) -> bool {
    !NOT_THE_DOCUMENT.contains(&code)
}

/// Whether the login lacks a privilege
/// (<https://www.mongodb.com/docs/manual/reference/error-codes/>).
pub(super) fn is_unauthorized(error: &DriverError) -> bool {
    matches!(error.kind.as_ref(), ErrorKind::Command(command) if command.code == UNAUTHORIZED)
}

/// Sorts an error of the driver.
pub(super) fn sort(error: &DriverError) -> Error {
    match error.kind.as_ref() {
        ErrorKind::InvalidArgument { message, .. } if is_too_large(message) => {
            Error::Rejected(one_line(message))
        }
        ErrorKind::InvalidArgument { message, .. } => Error::Settings(bad_setting(message)),
        ErrorKind::InvalidTlsConfig { message, .. } => Error::Settings(format!(
            "TLS: {}; see store.ca_file and store.client_certificate_file",
            one_line(message)
        )),
        ErrorKind::Authentication { message, .. } => Error::Unavailable(format!(
            "MongoDB refused the login: {}; check user, password and authSource",
            one_line(message)
        )),
        ErrorKind::Command(command)
            if THE_DOCUMENT.contains(&command.code)
                && !is_about_write_concern(&command.message) =>
        {
            Error::Rejected(format!("{} ({})", one_line(&command.message), command.code))
        }
        ErrorKind::Command(command) => Error::Unavailable(command_failed(command)),
        ErrorKind::BsonSerialization(_) | ErrorKind::Bson(_) => {
            Error::Rejected(one_line(&error.to_string()))
        }
        ErrorKind::ServerSelection { message, .. } => Error::Unavailable(unreachable(message)),
        ErrorKind::DnsResolve { message, .. } => Error::Unavailable(format!(
            "DNS: {}; check the host name in store.uri",
            one_line(message)
        )),
        ErrorKind::Io(cause) => Error::Unavailable(format!(
            "the connection to MongoDB broke: {cause}{}",
            tls_hint(&cause.to_string())
        )),
        _ => Error::Unavailable(one_line(&error.to_string())),
    }
}

/// A server without a journal answers our write concern with `BadValue`: no document is at fault.
fn is_about_write_concern(message: &str) -> bool {
    ["journal", "'j'", "'w'", "write concern", "writeConcern"]
        .iter()
        .any(|word| message.contains(word))
}

fn is_too_large(message: &str) -> bool {
    message.contains("maximum size") || message.contains("too large")
}

/// What the driver does not take in a connection string, with the way out. Its own words are passed
/// on only where they name an option: others repeat parts of the string, which may be a password.
fn bad_setting(message: &str) -> String {
    let message = one_line(message);
    let first = message.split(' ').next().unwrap_or_default();
    let is_name = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric());
    if let Some(option) = message
        .split("does not support ")
        .nth(1)
        .filter(|option| is_name(option))
    {
        return not_known(option);
    }
    if message.contains(" is an invalid option") && is_name(first) {
        return not_known(first);
    }
    let fault = [
        "username",
        "password",
        "authMechanism",
        "authSource",
        "directConnection",
        "replicaSet",
        "tls",
        "srv",
    ]
    .iter()
    .find(|word| message.contains(*word));
    let hint = fault.map_or_else(String::new, |word| format!(" (look at {word})"));
    format!(
        "store.uri: the driver does not take it{hint}; mongodb://USER@HOST:PORT/?OPTION=VALUE, and in user and password : / ? # [ ] @ % are percent-encoded"
    )
}

fn not_known(option: &str) -> String {
    format!(
        "store.uri: the driver does not know the option {option}; remove this option from the URI (delivery.deadline bounds every call)"
    )
}

/// What TLS on one side only, or an unknown authority, looks like from here.
fn tls_hint(cause: &str) -> &'static str {
    let signs = [
        "unexpected end of file",
        "UnexpectedEof",
        "UnknownIssuer",
        "invalid peer certificate",
        "Connection reset",
        "corrupt message",
        "InvalidContentType",
    ];
    if signs.iter().any(|sign| cause.contains(sign)) {
        " (TLS? see store.ca_file and tls=true)"
    } else {
        ""
    }
}

fn command_failed(command: &mongodb::error::CommandError) -> String {
    let text = one_line(&command.message);
    let fix = match command.code {
        13 => "; integrations/mongodb-role.js has the role that is needed",
        18 => "; check user, password and authSource",
        _ => "",
    };
    format!("MongoDB: {text} ({}){fix}", command.code)
}

/// The cause out of the driver's description of the whole topology.
fn unreachable(message: &str) -> String {
    let cause = message.split("Error: ").nth(1).unwrap_or_default();
    let cause = cause.split(", labels:").next().unwrap_or_default();
    let cause = cause.strip_prefix("Kind: ").unwrap_or(cause).trim();
    if message.contains("Authentication") || message.contains("SCRAM") {
        let cause = one_line(cause);
        return format!("MongoDB refused the login: {cause}; check user, password and authSource");
    }
    if message.contains("reports wire version") {
        // The driver names its own oldest release, which is older than ours.
        return "the server is older than MongoDB 5.0; see custom-mongo check".to_owned();
    }
    if cause.is_empty() {
        return "no MongoDB server can be written to (no primary, or none answered in time); see custom-mongo check".to_owned();
    }
    format!(
        "MongoDB cannot be reached: {}{}; see custom-mongo check",
        one_line(cause),
        tls_hint(cause)
    )
}

/// Messages go to ossec.log, which takes one line; a server may put an alert's own text into them.
pub(super) fn one_line(text: &str) -> String {
    const LONGEST: usize = 300;
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    let words = words.filter(|word| !word.is_empty()).take(LONGEST);
    let line: String = words.collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}
