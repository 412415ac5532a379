//! The command line of a call by wazuh-integratord.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use crate::setting::Secret;

/// The arguments that matter, wherever a space in `api_key` or `hook_url` has moved them.
#[derive(Debug, Default)]
pub struct Call {
    pub(super) file: OsString,
    pub(super) uri: Option<Secret>,
    pub(super) options: Option<PathBuf>,
    pub(super) timeout: Option<Duration>,
    pub(super) debug: bool,
}

impl Call {
    /// Reads the arguments behind argv\[0\]; never insists on a count and ignores what it does not
    /// know (4.14 sends eight, 4.4.0 four, and a long command loses its tail).
    pub fn from_arguments(arguments: &[OsString]) -> Self {
        let rest = arguments.get(1..).unwrap_or_default();
        let texts = || rest.iter().filter_map(|argument| argument.to_str());
        let is_uri =
            |text: &&str| text.starts_with("mongodb://") || text.starts_with("mongodb+srv://");
        let late = rest.iter().skip(4).filter_map(|argument| argument.to_str());
        let seconds = late
            .filter_map(|text| text.parse().ok())
            .find(|seconds| *seconds > 0);
        let is_options = |argument: &&OsString| argument.as_bytes().ends_with(b".options");
        Self {
            file: arguments.first().cloned().unwrap_or_default(),
            uri: texts().find(is_uri).map(Secret::new),
            options: rest.iter().find(is_options).map(PathBuf::from),
            timeout: seconds.map(Duration::from_secs),
            debug: texts().any(|text| text == "debug"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(arguments: &[&str]) -> Call {
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        Call::from_arguments(&arguments)
    }

    #[test]
    fn the_call_of_4_14() {
        let call = call(&[
            "/tmp/a.alert",
            "",
            "mongodb://h/",
            "",
            "/tmp/a.options",
            "10",
            "3",
            "> /dev/null 2>&1",
        ]);
        assert_eq!(call.file, "/tmp/a.alert");
        assert_eq!(call.uri, Some(Secret::new("mongodb://h/")));
        assert_eq!(call.options, Some("/tmp/a.options".into()));
        assert_eq!(call.timeout, Some(Duration::from_secs(10)));
        assert!(!call.debug);
    }

    #[test]
    fn the_call_of_4_4_and_one_with_a_key_of_two_words() {
        let old = call(&["/tmp/a.alert", "key", "", " > /dev/null 2>&1"]);
        assert!(old.uri.is_none() && old.options.is_none() && old.timeout.is_none());
        let shifted = call(&[
            "/tmp/a.alert",
            "two",
            "words",
            "mongodb://h/",
            "debug",
            "/tmp/a.options",
            "1",
            "3",
        ]);
        assert_eq!(shifted.timeout, Some(Duration::from_secs(1)));
        assert!(shifted.debug && shifted.uri.is_some() && shifted.options.is_some());
    }
}
