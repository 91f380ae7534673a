"""Cuts the power of mused, or the room on its disk, at every operation on files, and lets it go on.

    python3 bench/disk.py --mused target/release/mused power --only train-each import-npy
    python3 bench/disk.py --mused target/release/mused full --only train-each

power: strace writes down what a command does to files. For every moment of it the folder is made as a disk may hold it
that lost its power then. The content of a file is safe since its last fsync: after that there are zeros, nothing, or what
was written. Names are safe since the last fsync of their folder: of those made, moved and removed after it all, none, or
some are there. full: the N-th write (sync, new folder, new length) of each thread finds no room. Then the same command is
given as in kills.py, and what it makes is held against an undisturbed run. Standard library and strace.
"""

import argparse
import hashlib
import json
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile

import kills

WATCHED = ("open,openat,creat,close,write,pwrite64,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,mkdir,"
           "mkdirat,rmdir,ftruncate,lseek,dup,dup2,dup3,copy_file_range,sendfile,writev,pwritev,pwritev2,fallocate,"
           "truncate,link,linkat,symlink,symlinkat")
NEEDS_ROOM = "write,pwrite64,fsync,fdatasync,mkdir,mkdirat,ftruncate,rename,renameat,renameat2"
LINE = re.compile(r"^\d+ +(\w+)\((.*)\) += (-?\d+)")
HALF = re.compile(r"^(\d+) +(\w+)\((.*) <unfinished \.\.\.>$")
REST = re.compile(r"^(\d+) +<\.\.\. (\w+) resumed>(.*)$")


class File:
    def __init__(self, data=b"", safe=b""):
        self.data, self.safe = bytearray(data), bytes(safe)

    def left(self, how):
        """What is there after the cut."""
        if bytes(self.data) == self.safe or how == "written":
            return bytes(self.data)
        return self.safe if how == "short" else self.safe + bytes(max(0, len(self.data) - len(self.safe)))


class Folder:
    def __init__(self):
        self.now, self.safe = {}, {}


class Opened:
    def __init__(self, node, append):
        self.node, self.append, self.at = node, append, 0


class Disk:
    """A folder as its processes see it, and as it is kept."""

    def __init__(self, root):
        self.place, self.root, self.open, self.pending = str(root), Folder(), {}, []
        self.fill(self.root, root)

    def fill(self, folder, path):
        for entry in path.iterdir():
            if entry.is_dir():
                node = Folder()
                self.fill(node, entry)
            else:
                data = entry.read_bytes()
                node = File(data, data)
            folder.now[entry.name] = folder.safe[entry.name] = node

    def find(self, start, path):
        """The folder that a path lies in, and its last part."""
        if path.startswith("/"):
            if not (path + "/").startswith(self.place + "/"):
                return None, ""
            start, path = self.root, path[len(self.place):]
        folder, parts = start, [part for part in path.split("/") if part not in ("", ".")]
        for part in parts[:-1]:
            folder = folder.now.get(part)
            if not isinstance(folder, Folder):
                return None, ""
        return folder, parts[-1] if parts else ""

    def edit(self, *edits):
        for folder, name, node in edits:
            folder.now.pop(name, None)
            if node is not None:
                folder.now[name] = node
        self.pending.append(list(edits))

    def sync(self, node):
        if isinstance(node, File):
            node.safe = bytes(node.data)
            return
        for edits in self.pending:
            for edit in [edit for edit in edits if edit[0] is node]:
                keep(*edit)
                edits.remove(edit)
        self.pending = [edits for edits in self.pending if edits]

    def after(self, cut, draw):
        """Path and content of all that is there after a cut."""
        names, how = cut
        kept = {"none": [], "all": self.pending}.get(names)
        if kept is None:
            kept = [edits for edits in self.pending if draw.random() < 0.5]
        before = {}
        for edits in kept:
            for folder, name, node in edits:
                before.setdefault(id(folder), (folder, dict(folder.safe)))
                keep(folder, name, node)
        found, folders = {}, set()

        def walk(folder, at):
            for name, node in folder.safe.items():
                path = f"{at}{name}"
                if isinstance(node, Folder):
                    folders.add(path)
                    walk(node, path + "/")
                else:
                    found[path] = node.left(how if how != "any" else draw.choice(["zeros", "short", "written"]))

        walk(self.root, "")
        for folder, safe in before.values():
            folder.safe = safe
        return found, folders

    def apply(self, call, given, result):
        """Takes over one system call; whether it changed anything."""
        texts = [bytes.fromhex(text.replace("\\x", "")) for text in re.findall(r'"((?:\\x[0-9a-f]{2})*)"', given)]
        numbers = [part.strip() for part in re.sub(r'"[^"]*"', '""', given).split(",")]
        at = lambda number: self.open[int(numbers[number])].node if numbers[number].isdigit() and int(
            numbers[number]) in self.open else self.root
        path = lambda text, number: self.find(at(number) if number is not None else self.root, texts[text].decode())
        if call in ("open", "openat", "creat"):
            folder, name = path(0, 0 if call == "openat" else None)
            self.open.pop(result, None)
            if folder is None:
                return False
            node = folder.now.get(name) if name else folder
            made = node is None and ("O_CREAT" in given or call == "creat")
            if made:
                node = File()
                self.edit((folder, name, node))
            cleared = "O_TRUNC" in given and isinstance(node, File) and bool(node.data)
            if cleared:
                node.data = bytearray()
            if node is not None:
                self.open[result] = Opened(node, "O_APPEND" in given)
            return made or cleared
        if call in ("rename", "renameat", "renameat2"):
            ends = [path(0, None), path(1, None)] if call == "rename" else [path(0, 0), path(1, 2)]
            (before, old), (after, new) = ends
            self.edit((after, new, before.now[old]), (before, old, None))
            return True
        if call in ("unlink", "rmdir", "unlinkat"):
            folder, name = path(0, 0 if call == "unlinkat" else None)
            if folder is not None:
                self.edit((folder, name, None))
            return folder is not None
        if call in ("mkdir", "mkdirat"):
            folder, name = path(0, 0 if call == "mkdirat" else None)
            if folder is not None:
                self.edit((folder, name, Folder()))
            return folder is not None
        if call == "copy_file_range":
            source, target = (self.open.get(int(numbers[number])) for number in (0, 2))
            if target is not None and result:
                if source is None:
                    sys.exit("a file of elsewhere is copied: not followed")
                self.write(target, bytes(source.node.data[source.at:source.at + result]))
                source.at += result
            return target is not None and result > 0
        opened = self.open.get(int(numbers[0])) if numbers[0].isdigit() else None
        if call == "close":
            self.open.pop(int(numbers[0]), None)
        if opened is None or call == "close":
            return False
        if call == "write":
            self.write(opened, texts[0][:result])
        elif call == "pwrite64":
            place = int(numbers[-1])
            put(opened.node.data, place, texts[0][:result])
        elif call in ("fsync", "fdatasync"):
            self.sync(opened.node)
        elif call == "ftruncate":
            length = int(numbers[1])
            data = opened.node.data
            data[:] = data[:length] + bytes(max(0, length - len(data)))
        elif call == "lseek":
            opened.at = result
            return False
        else:
            sys.exit(f"{call}({given[:200]}): not followed")
        return True

    @staticmethod
    def write(opened, data):
        place = len(opened.node.data) if opened.append else opened.at
        put(opened.node.data, place, data)
        opened.at = place + len(data)


def keep(folder, name, node):
    folder.safe.pop(name, None)
    if node is not None:
        folder.safe[name] = node


def put(data, place, new):
    data.extend(bytes(max(0, place - len(data))))
    data[place:place + len(new)] = new


def calls(log):
    """Name, arguments and result of each system call that succeeded, in the order in which they ended."""
    begun = {}
    with open(log, encoding="ascii") as lines:
        for line in lines:
            line = line.rstrip("\n")
            if half := HALF.match(line):
                begun[half[1]] = half[3]
                if half[2] == "close":
                    # Another thread may be given the number before this one is told.
                    yield "close", half[3], 0
                continue
            if rest := REST.match(line):
                if rest[2] == "close":
                    begun.pop(rest[1])
                    continue
                line = f"{rest[1]} {rest[2]}({begun.pop(rest[1])}{rest[3]}"
            if (whole := LINE.match(line)) and int(whole[3]) >= 0:
                yield whole[1], whole[2], int(whole[3])


CUTS = [("all", "zeros"), ("all", "short"), ("none", "zeros"), ("some", "any"), ("some", "any")]


class Bench(kills.Bench):
    def cuts(self, draw, skip, every):
        """A chain for each state that a cut may leave, or one in `every`, but the first ones."""
        self.fresh()
        disk, log, seen = Disk(self.work), self.root / "log", set()
        subprocess.run(["strace", "-f", "-qq", "-xx", "-s", "100000000", "-o", log, "-e", f"trace={WATCHED}", self.mused,
                        *self.command], cwd=self.work, check=True, capture_output=True)
        given = kills.content(self.template, [""])
        for number, (call, arguments, result) in enumerate(calls(log), 1):
            if not disk.apply(call, arguments, result):
                continue
            for cut in CUTS:
                found, folders = disk.after(cut, draw)
                mark = hashlib.sha256(repr((sorted(found.items()), sorted(folders))).encode()).digest()
                if mark in seen:
                    continue
                seen.add(mark)
                if len(seen) <= skip or len(seen) % every:
                    continue
                self.put(found, folders, given)
                yield f"cut after {call}, call {number}, {cut[0]} names, {cut[1]}", self.finish(self.command)
        print(f"{self.verb}: {len(seen)} states", file=sys.stderr)
        if disk.after(("all", "written"), draw)[0].keys() != self.paths():
            sys.exit("what was written down is not what was done")

    def paths(self):
        self.fresh()
        self.run(self.command)
        return {str(path.relative_to(self.work)) for path in self.work.rglob("*") if path.is_file()}

    def put(self, found, folders, given):
        """The folder as it is after a cut: what was there before keeps its time."""
        self.fresh()
        for path in sorted(self.work.rglob("*"), reverse=True):
            name = str(path.relative_to(self.work))
            if path.is_dir() and not path.is_symlink():
                if name not in folders:
                    shutil.rmtree(path)
            elif name not in found:
                path.unlink()
        for name in sorted(folders):
            (self.work / name).mkdir(parents=True, exist_ok=True)
        for name, data in found.items():
            path = self.work / name
            if not path.exists() or path.read_bytes() != data:
                path.write_bytes(data)

    def full(self, _draw, skip, _every):
        """A chain for each operation that finds no room, but the first ones."""
        number = skip
        while True:
            number += 1
            self.fresh()
            inject = f"inject={NEEDS_ROOM}:error=ENOSPC:when={number}"
            log = self.root / "log"
            end = subprocess.run(["strace", "-f", "-qq", "-o", log, "-e", f"trace={NEEDS_ROOM}", "-e", inject,
                                  self.mused, *self.command], cwd=self.work, capture_output=True)
            injected = log.read_text().count("INJECTED")
            if not injected:
                return
            lines = end.stderr.decode().splitlines()
            ends = [line for line in lines if line.startswith("mused: ")]
            # A benchmark goes on with its other models, and names those that failed.
            said = ends or [line for line in lines if "No space left" in line]
            # The message itself may be what finds no room.
            lost_words = any("INJECTED" in line and "write(2" in line for line in log.read_text().splitlines())
            wrong = None
            if end.returncode not in (0, 1) or "panicked" in end.stderr.decode():
                wrong = f"exit {end.returncode}: {end.stderr.decode()[-400:]}"
            elif end.returncode == 1 and (not said or len(ends) > 1) and not lost_words:
                wrong = f"not one message: {lines}"
            elif end.returncode == 0 and not said and not self.content_whole():
                wrong = "taken as done"
            yield f"no room, operation {number}", wrong or self.finish(self.command)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("attack", choices=["power", "full"])
    parser.add_argument("--mused", required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--skip", type=int, default=0, help="tries to leave out at the beginning: made before")
    parser.add_argument("--every", type=int, default=1, help="power: try one state in so many")
    parser.add_argument("--only", nargs="*", choices=list(kills.VERBS), default=list(kills.VERBS))
    args = parser.parse_args()
    table, mused = {}, str(pathlib.Path(args.mused).resolve())
    for verb in args.only:
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(mused, verb, pathlib.Path(folder))
            table[verb] = {"tries": 0, "lost": 0}
            attack = bench.cuts if args.attack == "power" else bench.full
            for which, wrong in attack(random.Random(args.seed), args.skip, args.every):
                table[verb]["tries"] += 1
                if wrong:
                    table[verb]["lost"] += 1
                    print(f"{verb}, {which}: {wrong}", flush=True)
                if table[verb]["tries"] % 100 == 0:
                    print(f"{verb}: {table[verb]['tries']} tries", file=sys.stderr, flush=True)
            print(verb, table[verb], flush=True)
    print(json.dumps(table, indent=1))
    return 1 if any(row["lost"] for row in table.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
