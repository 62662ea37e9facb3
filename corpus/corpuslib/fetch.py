"""Packages by name and version, from the package managers of the system into the cache, and sources of Debian from the site that apt has.
A package whose SHA-256 is not the pinned one is refused. What was unpacked is kept, the package is not."""
import contextlib
import fnmatch
import glob
import hashlib
import http.client
import json
import os
import posixpath
import shutil
import subprocess
import tarfile
import tempfile
import urllib.request

UNWANTED = ("usr/share/man/*", "usr/share/locale/*", "usr/share/lintian/*", "usr/share/doc/*")
WANTED_DOC = ("*/copyright", "*/core-sounds-*")
SLACK = 1 << 20               # bytes; `unpacked` in packages.toml is rounded by what a file system adds


def wanted(name, keep):
    if any(fnmatch.fnmatch(name, pattern) for pattern in WANTED_DOC):
        return True
    if keep:
        return any(fnmatch.fnmatch(name, pattern) for pattern in keep)
    return not any(fnmatch.fnmatch(name, pattern) for pattern in UNWANTED)


def is_inside(path, target):
    """Whether path is below target with all links followed."""
    return os.path.realpath(path).startswith(os.path.realpath(target) + os.sep)


def place(archive, member, path, linked):
    """Writes one member at path; a hard link to linked is a copy of it, so that no file has two names."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.lexists(path):
        os.unlink(path)
    if member.issym():
        os.symlink(member.linkname, path)
    elif member.islnk():
        shutil.copy(linked, path)
    else:
        with open(path, "wb") as out:
            shutil.copyfileobj(archive.extractfile(member), out)
        os.chmod(path, 0o755 if member.mode & 0o100 else 0o644)


def unpack(stream, target, package, strip=""):
    """Unpacks what is wanted of a tar stream under target; what would be outside it, by name or through a link, and links that lead
    outside are left out. Returns (bytes, names). Raises ValueError where it is much more than packages.toml says."""
    size, names, most = 0, [], 2 * package["unpacked"] + SLACK
    with tarfile.open(fileobj=stream, mode="r|*") as archive:
        for member in archive:
            name = posixpath.normpath(member.name)
            if name.startswith(("/", "..")) or not wanted(name, package.get("keep")) or not (member.isfile() or member.issym() or member.islnk()):
                continue
            name = name.removeprefix(strip)
            path = os.path.join(target, name)
            linked = os.path.join(target, posixpath.normpath(member.linkname).removeprefix(strip)) if member.islnk() else None
            leads = linked or (os.path.join(os.path.dirname(path), member.linkname) if member.issym() else path)
            if not is_inside(os.path.join(os.path.dirname(path), "x"), target) or not is_inside(leads, target) and leads != path:
                continue
            size += os.path.getsize(linked) if linked else member.size
            if size > most:
                raise ValueError(f"more than {most} bytes come out of it")
            place(archive, member, path, linked)
            names.append(name)
    return size, names


def unpack_deb(path, target, package):
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", path], stdout=subprocess.PIPE) as pipe:
        out = unpack(pipe.stdout, target, package)
        while pipe.stdout.read(1 << 20): # what is behind the end of the archive
            pass
    if pipe.returncode:
        raise ValueError(f"dpkg-deb ended with exit status {pipe.returncode}")
    return out


def last_line(run):
    lines = (run.stderr or run.stdout).strip().splitlines()
    return next((line for line in reversed(lines) if line.strip() and "log of this run" not in line), f"exit status {run.returncode}")


def sites():
    """Addresses of Debian archives: those that apt has for this system, in its order."""
    found = []
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        run = subprocess.run(["apt-get", "indextargets", "--format", "$(SITE)"], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                             timeout=60, check=True)
        found = [site.strip().rstrip("/") for site in run.stdout.splitlines()]
    return list(dict.fromkeys(site for site in found if site.startswith(("http://", "https://", "file:/"))))


def download_source(package, folder):
    """As download(), of a file in the pool of an archive; it is there for every release, also where apt is not told of its sources."""
    path, why = os.path.join(folder, posixpath.basename(package["pool"])), ""
    for site in sites():
        try:
            with urllib.request.urlopen(f"{site}/{package['pool']}", timeout=60) as got, open(path, "wb") as out:
                left = package["bytes"] + 1 # no more is read than would be refused
                while left > 0 and (part := got.read(min(left, 1 << 20))):
                    out.write(part)
                    left -= len(part)
            return path, None
        except (OSError, ValueError, http.client.HTTPException) as error:
            why = why or str(error) # of the first site, which is the likeliest
    return None, f"{package['name']} {package['version']} cannot be had: {why or 'apt-get indextargets names no site'} ({package['pool']})"


def download(package, folder):
    """The path of the package in folder, or a sentence why there is none."""
    name, version = package["name"], package["version"]
    if package["kind"] == "source":
        return download_source(package, folder)
    if package["kind"] == "deb":
        command = ["apt-get", "download", "-q", f"{name}={version}"]
    else:
        command = ["npm", "pack", "--ignore-scripts", "--silent", f"{name}@{version}"]
    if not shutil.which(command[0]):
        return None, f"{name} {version} cannot be had: {command[0]} is not installed (corpus/install-deps)"
    try:
        run = subprocess.run(command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=1800, check=False)
    except subprocess.TimeoutExpired:
        return None, f"{name} {version} cannot be had: {command[0]} did not end in 30 minutes; the same command tries it again"
    files = glob.glob(os.path.join(folder, "*.deb" if package["kind"] == "deb" else "*.tgz"))
    if run.returncode or len(files) != 1:
        return None, f"{name} {version} cannot be had: {last_line(run)}"
    return files[0], None


def mark_path(package, cache):
    return os.path.join(cache, "have", package["name"] + ".json")


def pins(package):
    return {"version": package["version"], "sha256": package["sha256"], "keep": package.get("keep")}


def mark_of(package, cache):
    try:
        with open(mark_path(package, cache), encoding="utf-8") as f:
            return json.load(f)
    except (OSError, ValueError):
        return {}


def there(package, cache):
    """Bytes on disk of a package that is in the cache as it is pinned, or None."""
    have = mark_of(package, cache)
    return have["size"] if have and all(have.get(key) == value for key, value in pins(package).items()) else None


def forget(package, cache, target):
    """Removes the files of another version, and then its mark: what is half there must not pass for whole."""
    for name in mark_of(package, cache).get("names", []):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(target, name))
    with contextlib.suppress(FileNotFoundError):
        os.unlink(mark_path(package, cache))


def fetch(package, cache):
    """Fetches one package into the cache where it is not there already. Returns (bytes on disk, None) or (0, sentence)."""
    size = there(package, cache)
    if size is not None:
        return size, None
    what = f"{package['name']} {package['version']}"
    try:
        for folder in ("have", "root", "npm", "source", "download"):
            os.makedirs(os.path.join(cache, folder), exist_ok=True)
        with tempfile.TemporaryDirectory(dir=os.path.join(cache, "download")) as folder:
            os.chmod(folder, 0o755)
            path, why = download(package, folder)
            if path is None:
                return 0, why
            with open(path, "rb") as f:
                found = hashlib.file_digest(f, "sha256").hexdigest()
            if found != package["sha256"]:
                return 0, f"{what} is not the pinned one: its SHA-256 is {found}, in packages.toml it is {package['sha256']}; nothing of it was used"
            return install(package, cache, path), None
    except (OSError, ValueError, tarfile.TarError) as error:
        return 0, f"{what} cannot be unpacked in {cache}: {error}; the same command tries it again"


def install(package, cache, path):
    """Unpacks a package whose hash was checked; its mark is written last. Returns the bytes on disk."""
    target = os.path.join(cache, "root" if package["kind"] == "deb" else os.path.join(package["kind"], package["name"]))
    os.makedirs(target, exist_ok=True)
    forget(package, cache, target)
    if package["kind"] == "deb":
        size, names = unpack_deb(path, target, package)
    else:
        with open(path, "rb") as f:
            size, names = unpack(f, target, package, "package/" if package["kind"] == "npm" else f"{package['name']}-{package['version']}/")
    mark = mark_path(package, cache)
    with open(mark + ".new", "w", encoding="utf-8") as f:
        json.dump(dict(pins(package), size=size, names=names), f)
    os.replace(mark + ".new", mark)
    return size
