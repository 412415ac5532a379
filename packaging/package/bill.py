"""The bill of materials: which crates are linked into the binary, and under which licences.

Usage: bill.py TARGET BINARY FOLDER, in the folder of Cargo.lock, with SOURCE_DATE_EPOCH set. Writes
custom-mongo.cdx.json (CycloneDX 1.5) and third-party-licences.txt. Same input, same bytes.
"""

import datetime
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tomllib
import uuid

LICENCE_FILE = re.compile(r"^(licen[cs]e|copying|copyright|notice|unlicense)", re.IGNORECASE)


def cargo(*words):
    return subprocess.run(["cargo", *words], check=True, stdout=subprocess.PIPE, text=True).stdout


def linked(target):
    """Name and version of what is linked: neither build scripts, nor macros, nor the tests' crates."""
    words = ["--locked", "--edges", "normal,no-proc-macro", "--target", target]
    lines = cargo("tree", *words, "--prefix", "none", "--format", "{p}").splitlines()
    return {tuple(line.split()[:2]) for line in lines if line}


def packages(target):
    """The packages of the binary, ours first, with what each depends on, as cargo knows them."""
    metadata = json.loads(
        cargo("metadata", "--locked", "--format-version", "1", "--filter-platform", target)
    )
    wanted = linked(target)
    chosen = {
        package["id"]: package
        for package in metadata["packages"]
        if (package["name"], "v" + package["version"]) in wanted
    }
    for node in metadata["resolve"]["nodes"]:
        if node["id"] in chosen:
            chosen[node["id"]]["uses"] = sorted(
                reference(chosen[edge["pkg"]])
                for edge in node["deps"]
                if edge["pkg"] in chosen and any(kind["kind"] is None for kind in edge["dep_kinds"])
            )
    root = chosen.pop(metadata["resolve"]["root"])
    return root, sorted(chosen.values(), key=reference)


def reference(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def licence(package):
    # The slash is how it was written before SPDX expressions.
    return (package["license"] or "NOASSERTION").replace("/", " OR ")


def checksums():
    """SHA-256 of each crate's archive, from Cargo.lock."""
    lock = tomllib.loads(pathlib.Path("Cargo.lock").read_text())
    return {
        (package["name"], package["version"]): package["checksum"]
        for package in lock["package"]
        if "checksum" in package
    }


def component(package, kind, digest):
    part = {
        "type": kind,
        "bom-ref": reference(package),
        "name": package["name"],
        "version": package["version"],
        "description": " ".join((package["description"] or "").split()),
        "licenses": [{"expression": licence(package)}],
        "purl": reference(package),
    }
    if digest:
        part["hashes"] = [{"alg": "SHA-256", "content": digest}]
    if package["repository"]:
        part["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    return part


def standard_library():
    """Rust's own library, and in it the C library: linked too, but no crates of Cargo.lock."""
    version = subprocess.run(["rustc", "--version"], check=True, stdout=subprocess.PIPE, text=True)
    return {
        "type": "library",
        "bom-ref": "rust-std",
        "name": "rust-std",
        "version": version.stdout.split()[1],
        "description": "Rust's standard library for musl, with musl and LLVM's libunwind in it",
        "licenses": [{"expression": "(MIT OR Apache-2.0) AND MIT AND Apache-2.0 WITH LLVM-exception"}],
    }


def bill(root, parts, binary):
    digests = checksums()
    when = datetime.datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), datetime.timezone.utc)
    libraries = [
        component(part, "library", digests.get((part["name"], part["version"]))) for part in parts
    ]
    edges = [
        {"ref": reference(part), "dependsOn": part["uses"]} for part in [root, *parts]
    ]
    edges[0]["dependsOn"] = [*edges[0]["dependsOn"], "rust-std"]
    edges.append({"ref": "rust-std", "dependsOn": []})
    digest = hashlib.sha256(pathlib.Path(binary).read_bytes()).hexdigest()
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": uuid.uuid5(uuid.NAMESPACE_URL, f"{reference(root)}#{digest}").urn,
        "version": 1,
        "metadata": {
            "timestamp": when.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": component(root, "application", digest),
        },
        "components": [*libraries, standard_library()],
        "dependencies": edges,
    }


def licence_texts(parts):
    """Each text once, under the names of the crates that carry it."""
    owners = {}
    for part in parts:
        folder = pathlib.Path(part["manifest_path"]).parent
        files = sorted(file for file in folder.iterdir() if LICENCE_FILE.match(file.name) and file.is_file())
        name = f"{part['name']} {part['version']} ({licence(part)})"
        texts = [file.read_text(errors="replace").strip() for file in files]
        for text in texts or ["(The crate has no file with a licence; its manifest names the above.)"]:
            owners.setdefault(text, []).append(name)
    rule = "=" * 78
    blocks = [f"{rule}\n" + "\n".join(names) + f"\n{rule}\n\n{text}\n" for text, names in owners.items()]
    head = "The crates that are linked into custom-mongo, with their licences.\n"
    return "\n".join([head, *blocks])


def main():
    target, binary, folder = sys.argv[1:]
    root, parts = packages(target)
    into = pathlib.Path(folder)
    text = json.dumps(bill(root, parts, binary), indent=1, ensure_ascii=False)
    (into / "custom-mongo.cdx.json").write_text(text + "\n")
    (into / "third-party-licences.txt").write_text(licence_texts(parts))


main()
