//! What a synthetic agent has: the same rows for the same agent in every run, in the shapes that a
//! real 4.14.7 answered with, its oddities included.

use super::fleet::{Agent, System};
use super::json::{Json, object, text};
use super::kind::Kind;

/// When the synthetic fleet was scanned (2025-06-02T21:47:23Z): long enough ago for every probe.
pub const SCANNED: i64 = 1_748_900_843;

/// How many rows each kind has.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub packages: usize,
    pub files: usize,
}

/// The rows that this agent has as long as nobody changes one.
pub fn count(agent: &Agent, kind: Kind, shape: Shape) -> usize {
    let windows = agent.system == System::Windows;
    match kind {
        Kind::Syscheck if windows => shape.files + shape.files / 2,
        Kind::Syscheck => shape.files,
        Kind::Packages => shape.packages,
        Kind::Os | Kind::Hardware | Kind::BrowserExtensions => 1,
        Kind::Hotfixes if windows => 5,
        Kind::Hotfixes => 0,
        Kind::Processes => 12,
        Kind::Netiface | Kind::Netaddr | Kind::Netproto | Kind::Rootcheck | Kind::Sca => 2,
        Kind::Users | Kind::Groups => 4,
        Kind::Services => 5,
        Kind::Ports | Kind::ScaChecks => 8,
    }
}

/// One of them.
pub fn row(agent: &Agent, kind: Kind, index: usize, shape: Shape) -> Json {
    match kind {
        Kind::Syscheck if index >= shape.files => registry(agent, index - shape.files),
        Kind::Syscheck if agent.system == System::Windows => windows_file(agent, index),
        Kind::Syscheck => unix_file(agent, index),
        Kind::Os => os(agent),
        Kind::Hardware => hardware(agent),
        Kind::Packages => package(agent, index),
        Kind::Hotfixes => hotfix(agent, index),
        Kind::Ports => port(agent, index),
        Kind::Processes => process(agent, index),
        Kind::Netiface => netiface(agent, index),
        Kind::Netaddr => netaddr(agent, index),
        Kind::Netproto => netproto(agent, index),
        Kind::Users => user(agent, index),
        Kind::Groups => group(agent, index),
        Kind::Services => service(agent, index),
        Kind::BrowserExtensions => extension(agent),
        Kind::Sca => policy(index),
        Kind::ScaChecks => check(agent, index),
        Kind::Rootcheck => rootcheck(index),
    }
}

/// Wazuh's form of a time, in seconds since 1970
/// (days to a date: <https://howardhinnant.github.io/date_algorithms.html#civil_from_days>).
pub fn iso(seconds: i64) -> String {
    let days = seconds.div_euclid(86_400) + 719_468;
    let of_day = seconds.rem_euclid(86_400);
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}+00:00")
}

/// A number that looks random and is not (splitmix64).
pub fn mix(seed: u64) -> u64 {
    let step = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let step = (step ^ (step >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let step = (step ^ (step >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    step ^ (step >> 31)
}

/// `length` hex digits for a seed.
fn digest(seed: u64, length: usize) -> Json {
    let parts = std::iter::successors(Some(mix(seed)), |seed| Some(mix(*seed)));
    let parts = parts.take(length.div_ceil(16));
    let parts: Vec<String> = parts.map(|part| format!("{part:016x}")).collect();
    let mut all = parts.concat();
    all.truncate(length);
    Json::Text(all)
}

fn int(number: usize) -> Json {
    Json::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

fn scan(agent: &Agent) -> Json {
    object([("id", Json::Int(0)), ("time", text(iso(agent.scanned)))])
}

fn owner(agent: &Agent) -> Json {
    text(agent.id.clone())
}

fn seed(agent: &Agent, index: usize) -> u64 {
    let index = u64::try_from(index).unwrap_or_default();
    mix(u64::from(agent.number)) ^ mix(index.wrapping_mul(0x5851_F42D))
}

fn unix_file(agent: &Agent, index: usize) -> Json {
    let seed = seed(agent, index);
    let file = match index {
        0 => "/etc/ünïcode ☃ 🦀.txt".to_owned(),
        1 => "/etc/with \"quotes\" and \\ backslash".to_owned(),
        _ => format!("/etc/folder_{}/file_{index:06}.conf", index % 17),
    };
    let mtime = match index % 31 {
        7 => Json::Null,
        _ => text(iso(agent.scanned - 86_400)),
    };
    let perm = if index.is_multiple_of(3) {
        "rw-------"
    } else {
        "rwxr-xr-x"
    };
    // Beyond 32 bits, as XFS and large files have them.
    let inode = 1_000 + int_of(index) + if index.is_multiple_of(50) { 1 << 33 } else { 0 };
    object([
        ("gid", text("0")),
        ("date", text(iso(agent.scanned))),
        ("file", text(file)),
        ("sha1", digest(seed ^ 1, 40)),
        ("uid", text("1000")),
        ("uname", text("root")),
        ("inode", Json::Int(inode)),
        ("perm", text(perm)),
        ("changes", Json::Int(1)),
        ("md5", digest(seed ^ 2, 32)),
        ("mtime", mtime),
        ("sha256", digest(seed ^ 3, 64)),
        ("type", text("file")),
        ("gname", text("root")),
        (
            "size",
            Json::Int(i64::try_from(seed % 5_000_000_000).unwrap_or(0)),
        ),
    ])
}

fn int_of(index: usize) -> i64 {
    i64::try_from(index).unwrap_or(i64::MAX)
}

fn access() -> Json {
    let rights = |names: &[&str]| Json::List(names.iter().map(|name| text(*name)).collect());
    let administrators = object([
        ("name", text("Administrators")),
        (
            "allowed",
            rights(&["delete", "read_control", "write_dac", "read_data"]),
        ),
    ]);
    let system = object([
        ("name", text("SYSTEM")),
        ("allowed", rights(&["read_data"])),
        ("denied", rights(&["delete"])),
    ]);
    object([("S-1-5-32-544", administrators), ("S-1-5-18", system)])
}

fn windows_file(agent: &Agent, index: usize) -> Json {
    let seed = seed(agent, index);
    object([
        ("gid", text("")),
        ("date", text(iso(agent.scanned))),
        (
            "file",
            text(format!("c:\\windows\\system32\\f{index:06}.dll")),
        ),
        ("sha1", digest(seed ^ 1, 40)),
        ("uid", text("S-1-5-18")),
        ("uname", text("SYSTEM")),
        ("inode", Json::Int(0)),
        ("perm", access()),
        ("changes", Json::Int(1)),
        ("md5", digest(seed ^ 2, 32)),
        ("mtime", text(iso(agent.scanned - 86_400))),
        ("sha256", digest(seed ^ 3, 64)),
        ("type", text("file")),
        ("attributes", text("ARCHIVE")),
        (
            "size",
            Json::Int(i64::try_from(seed % 900_000).unwrap_or(0)),
        ),
    ])
}

/// In threes: a key, and two values of the same key, in both views of the registry.
fn registry(agent: &Agent, index: usize) -> Json {
    let seed = seed(agent, index + 1_000_000);
    let file = text(format!("HKEY_LOCAL_MACHINE\\Software\\Vendor{}", index / 6));
    let arch = text(if (index / 3).is_multiple_of(2) {
        "[x32]"
    } else {
        "[x64]"
    });
    if index.is_multiple_of(3) {
        return object([
            ("gid", text("S-1-5-18")),
            ("date", text(iso(agent.scanned))),
            ("file", file),
            ("uid", text("S-1-5-18")),
            ("uname", text("SYSTEM")),
            ("arch", arch),
            ("perm", access()),
            ("changes", Json::Int(1)),
            ("mtime", text(iso(agent.scanned - 3_600))),
            ("type", text("registry_key")),
            ("gname", text("SYSTEM")),
        ]);
    }
    let (name, kind) = match index % 3 {
        1 => ("Version", "REG_SZ"),
        _ => ("Start", "REG_DWORD"),
    };
    object([
        (
            "value",
            object([("name", text(name)), ("type", text(kind))]),
        ),
        ("date", text(iso(agent.scanned))),
        ("file", file),
        ("sha1", digest(seed ^ 1, 40)),
        ("arch", arch),
        ("changes", Json::Int(1)),
        ("md5", digest(seed ^ 2, 32)),
        ("sha256", digest(seed ^ 3, 64)),
        ("type", text("registry_value")),
        ("size", Json::Int(57)),
    ])
}

fn os(agent: &Agent) -> Json {
    let mut row = match agent.system {
        System::Windows => object([
            (
                "os",
                object([
                    ("build", text("17763.5458")),
                    ("display_version", text("1809")),
                    ("major", text("10")),
                    ("minor", text("0")),
                    ("name", text("Microsoft Windows Server 2019 Standard")),
                    ("version", text("10.0.17763.5458")),
                ]),
            ),
            ("version", text("10.0.17763.5458")),
            ("os_release", text("1809")),
        ]),
        System::Linux => object([
            (
                "os",
                object([
                    ("codename", text("jammy")),
                    ("major", text("22")),
                    ("minor", text("04")),
                    ("name", text("Ubuntu")),
                    ("platform", text("ubuntu")),
                    ("version", text("22.04.4 LTS (Jammy Jellyfish)")),
                ]),
            ),
            ("version", text("#115-Ubuntu SMP")),
            ("release", text("5.15.0-105-generic")),
            ("sysname", text("Linux")),
        ]),
    };
    row.set("scan", scan(agent));
    row.set("architecture", text("x86_64"));
    row.set("hostname", text(agent.name.clone()));
    row.set("agent_id", owner(agent));
    row
}

fn hardware(agent: &Agent) -> Json {
    object([
        (
            "cpu",
            object([
                ("cores", Json::Int(4)),
                ("mhz", Json::Float(2394.454)),
                ("name", text("Intel(R) Xeon(R) CPU")),
            ]),
        ),
        (
            "ram",
            object([
                ("free", Json::Int(2_726_506)),
                ("total", Json::Int(8_145_912)),
                ("usage", Json::Int(20)),
            ]),
        ),
        ("scan", scan(agent)),
        (
            "board_serial",
            text(format!("VMware-56 4d {:05}", agent.number)),
        ),
        ("agent_id", owner(agent)),
    ])
}

const NAMES: [&str; 12] = [
    "adduser",
    "apt",
    "bash",
    "coreutils",
    "dpkg",
    "grep",
    "libssl",
    "openssh",
    "perl",
    "python3",
    "systemd",
    "zlib1g",
];

fn package(agent: &Agent, index: usize) -> Json {
    let seed = seed(agent, index);
    let mut row = object([
        ("scan", scan(agent)),
        (
            "version",
            text(format!("{}.{}-{}", 1 + seed % 9, seed % 40, seed % 7)),
        ),
        (
            "name",
            text(format!("{}-{index:05}", NAMES[index % NAMES.len()])),
        ),
        ("description", text("add and remove users and groups")),
        ("location", text(" ")),
        ("architecture", text("amd64")),
        ("size", Json::Int(i64::try_from(seed % 90_000).unwrap_or(0))),
        (
            "vendor",
            text("Debian Developers <debian@packages.debian.org>"),
        ),
        ("format", text("deb")),
        ("section", text("admin")),
        ("priority", text("optional")),
        ("multiarch", text("foreign")),
        ("agent_id", owner(agent)),
    ]);
    match index {
        // The same name and version in two architectures.
        1 | 2 => {
            row.set("name", text("libc6"));
            row.set("version", text("2.35-0ubuntu3"));
            row.set(
                "architecture",
                text(if index == 1 { "amd64" } else { "i386" }),
            );
        }
        3 => {
            row.set("name", text("PyYAML"));
            row.set(
                "description",
                text("\"quotes\", commas; \\ backslash, ünïcode ☃ 🦀"),
            );
            row.set(
                "location",
                text("/usr/local/lib/python3.10/dist-packages/PyYAML"),
            );
            row.set("architecture", text(" "));
            row.set("format", text("pypi"));
            row.set("size", Json::Int(0));
        }
        4 => row.set("version", text(" ")),
        _ => {}
    }
    match index % 3 {
        0 => row.set("install_time", text("2026-09-07T02:59:06+00:00")),
        1 => row.set("install_time", text("20231105")),
        _ => row.set("priority", text("important")),
    }
    row
}

fn hotfix(agent: &Agent, index: usize) -> Json {
    object([
        ("scan_time", text(iso(agent.scanned))),
        ("scan_id", Json::Int(0)),
        ("hotfix", text(format!("KB{}", 5_000_000 + index))),
        ("agent_id", owner(agent)),
    ])
}

fn port(agent: &Agent, index: usize) -> Json {
    let end = |port: usize| object([("ip", text("0.0.0.0")), ("port", int(port))]);
    let state = if index.is_multiple_of(2) {
        "established"
    } else {
        "listening"
    };
    object([
        ("local", end(1_000 + index)),
        ("remote", end(0)),
        ("scan", scan(agent)),
        ("pid", int(index)),
        ("process", text("sshd")),
        ("state", text(state)),
        ("tx_queue", Json::Int(0)),
        ("protocol", text("tcp")),
        ("inode", int(10_000 + index)),
        ("rx_queue", Json::Int(0)),
        ("agent_id", owner(agent)),
    ])
}

fn process(agent: &Agent, index: usize) -> Json {
    object([
        ("scan", scan(agent)),
        ("egroup", text("root")),
        ("priority", Json::Int(20)),
        ("argvs", text("-a,-b")),
        ("ppid", Json::Int(1)),
        ("cmd", text(format!("/usr/bin/proc{index}"))),
        ("name", text(format!("proc{index}"))),
        ("start_time", Json::Int(1_795_129_946)),
        ("utime", Json::Int(10)),
        ("pid", text(format!("{}", index + 1))),
        ("euser", text("root")),
        ("state", text("S")),
        ("agent_id", owner(agent)),
    ])
}

fn interface(index: usize) -> Json {
    text(if index == 0 { "eth0" } else { "lo" })
}

fn netiface(agent: &Agent, index: usize) -> Json {
    let traffic = |count: i64| {
        object([
            ("bytes", Json::Int(count << 31)),
            ("dropped", Json::Int(0)),
            ("errors", Json::Int(0)),
            ("packets", Json::Int(count)),
        ])
    };
    object([
        ("rx", traffic(4)),
        ("scan", scan(agent)),
        ("tx", traffic(3)),
        ("mtu", Json::Int(1500)),
        ("mac", text(format!("02:42:ac:11:00:{index:02}"))),
        ("name", interface(index)),
        ("type", text("ethernet")),
        ("state", text("up")),
        ("agent_id", owner(agent)),
    ])
}

fn netaddr(agent: &Agent, index: usize) -> Json {
    object([
        ("scan", object([("id", Json::Int(0))])),
        ("broadcast", text("172.17.255.255")),
        ("iface", interface(index)),
        ("netmask", text("255.255.0.0")),
        ("proto", text("ipv4")),
        ("address", text(format!("172.17.0.{}", index + 2))),
        ("agent_id", owner(agent)),
    ])
}

fn netproto(agent: &Agent, index: usize) -> Json {
    object([
        ("scan", object([("id", Json::Int(0))])),
        ("dhcp", text("enabled")),
        ("iface", interface(index)),
        ("gateway", text("172.17.0.1")),
        ("type", text("ipv4")),
        ("agent_id", owner(agent)),
    ])
}

/// Two `login` fields are an object, one alone is a dotted key.
fn user(agent: &Agent, index: usize) -> Json {
    let mut row = object([
        (
            "user",
            object([
                ("full_name", text("User")),
                ("group_id", int(index)),
                ("groups", text(format!("user{index},sudo"))),
                ("home", text("/home/u")),
                ("id", int(index)),
                ("name", text(format!("user{index}"))),
                ("password_status", text("locked")),
                ("shell", text("/bin/bash")),
            ]),
        ),
        ("scan", scan(agent)),
        ("checksum", digest(seed(agent, index), 40)),
        ("agent_id", owner(agent)),
    ]);
    match (index % 2, &mut row) {
        (0, row) => row.set(
            "login",
            object([("status", Json::Int(0)), ("tty", text("pts/0"))]),
        ),
        (_, Json::Object(fields)) => fields.push(("login.status".into(), Json::Int(0))),
        _ => {}
    }
    row
}

fn group(agent: &Agent, index: usize) -> Json {
    object([
        (
            "group",
            object([
                ("id", int(index)),
                ("name", text(format!("group{index}"))),
                ("users", text(format!("user{index}"))),
            ]),
        ),
        ("scan", scan(agent)),
        ("checksum", digest(seed(agent, index), 40)),
        ("agent_id", owner(agent)),
    ])
}

/// Several `process` fields are an object, one alone is a dotted key; `file.path` always is one.
fn service(agent: &Agent, index: usize) -> Json {
    let mut row = object([
        ("scan", scan(agent)),
        (
            "service",
            object([
                ("description", text("svc")),
                ("enabled", text("enabled")),
                ("id", text(format!("s{index}.service"))),
                ("name", text(format!("s{index}"))),
                ("state", text("active")),
                ("sub_state", text("running")),
            ]),
        ),
        ("checksum", digest(seed(agent, index), 40)),
        ("agent_id", owner(agent)),
    ]);
    if let Json::Object(fields) = &mut row {
        let path = format!("/usr/lib/systemd/system/s{index}.service");
        fields.push(("file.path".into(), text(path)));
        let process = object([("args", text("a b")), ("pid", Json::Int(0))]);
        fields.push(match index % 2 {
            0 => ("process.pid".into(), Json::Int(0)),
            _ => ("process".into(), process),
        });
    }
    row
}

fn extension(agent: &Agent) -> Json {
    let mut row = object([
        (
            "browser",
            object([
                ("name", text("chrome")),
                ("profile_path", text("/home/u/.config/x")),
            ]),
        ),
        (
            "package",
            object([
                ("enabled", Json::Int(1)),
                ("id", text("cjpal")),
                ("name", text("uBlock")),
                ("version", text("1.5")),
            ]),
        ),
        ("scan", scan(agent)),
        ("checksum", digest(seed(agent, 0), 40)),
        ("agent_id", owner(agent)),
    ]);
    if let Json::Object(fields) = &mut row {
        fields.push(("user.id".into(), text("user1")));
    }
    row
}

fn policy_id(index: usize) -> Json {
    text(if index == 0 {
        "cis_linux"
    } else {
        "cis_apache"
    })
}

fn policy(index: usize) -> Json {
    object([
        ("policy_id", policy_id(index)),
        ("end_scan", text(iso(SCANNED + 10))),
        ("hash_file", digest(u64::from(index == 0), 64)),
        ("references", text("https://cis")),
        ("start_scan", text(iso(SCANNED))),
        ("description", text("desc")),
        ("name", text("CIS Benchmark for Linux")),
        ("fail", Json::Int(1)),
        ("pass", Json::Int(3)),
        ("invalid", Json::Int(0)),
        ("score", Json::Int(75)),
        ("total_checks", Json::Int(4)),
    ])
}

/// The first four belong to the first policy.
fn check(agent: &Agent, index: usize) -> Json {
    let pair = |name: &'static str, value: &str, kind: &'static str, other: &str| {
        Json::List(vec![object([(name, text(value)), (kind, text(other))])])
    };
    let passed = !(index + agent.number as usize).is_multiple_of(4);
    object([
        ("policy_id", policy_id(index / 4)),
        ("id", int(19_000 + index)),
        (
            "title",
            text("Ensure mounting of cramfs filesystems is disabled."),
        ),
        (
            "description",
            text("The cramfs filesystem type is compressed."),
        ),
        (
            "rationale",
            text("Removing support reduces the attack surface."),
        ),
        ("remediation", text("Edit a file in /etc/modprobe.d/.")),
        ("condition", text("all")),
        ("command", text("modprobe -n -v cramfs,lsmod")),
        ("result", text(if passed { "passed" } else { "failed" })),
        ("compliance", pair("key", "cis", "value", "1.1.1.1")),
        (
            "rules",
            pair("type", "command", "rule", "c:modprobe -n -v cramfs"),
        ),
    ])
}

fn rootcheck(index: usize) -> Json {
    object([
        ("date_first", text(iso(SCANNED))),
        ("date_last", text(iso(SCANNED + 60))),
        (
            "log",
            text(format!("Trojaned version of file '/bin/{index}' detected.")),
        ),
        ("status", text("outstanding")),
    ])
}
