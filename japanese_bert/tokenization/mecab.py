"""MeCab dictionaries, their identity, and their taggers.

Another dictionary changes every token without a warning, so each stage records which one it used.
"""

import argparse
import errno
import hashlib
import importlib
import mmap
import shlex
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

# Name on the command line (as transformers' BertJapaneseTokenizer spells it) -> Python package with the dictionary.
DICTIONARY_PACKAGES: Mapping[str, str] = {"unidic_lite": "unidic-lite", "unidic": "unidic", "ipadic": "ipadic"}

COMPILED_FILES = ("sys.dic", "unk.dic", "matrix.bin", "char.bin")
FULL_STOP_SUBTYPE = "句点"  # 記号,句点 in IPADIC and NEologd; 補助記号,句点 in UniDic


@dataclass(frozen=True, slots=True)
class Dictionary:
    """A compiled MeCab dictionary.

    `size` is the size of its `sys.dic` in bytes. `sha256` is the hash of its compiled files if it is not a package
    with a version. Reason: other costs change words, but no size. `user_sha256` is the hash of the user dictionaries
    that are loaded with it.
    """

    name: str
    directory: Path
    version: str
    size: int
    sha256: str = ""
    user_sha256: str = ""

    def identity(self) -> dict[str, object]:
        """Return what identifies the dictionary. Its path does not, because it differs between machines."""
        content = {"sha256": self.sha256, "user_dictionaries": self.user_sha256}
        known = {name: value for name, value in content.items() if value}
        return {"name": self.name, "version": self.version, "size": self.size, **known}

    def content_hash(self) -> str:
        """Return the hash of the compiled files, also of a package."""
        return self.sha256 or hash_of(self.directory / file for file in COMPILED_FILES)


def find_dictionary(mecab_dic_type: str) -> Dictionary:
    """Return a dictionary by package name (`unidic_lite`, `unidic`, `ipadic`) or by directory.

    Raises:
        ImportError: the package is not installed.
        FileNotFoundError: the directory has no compiled dictionary.
    """
    package = DICTIONARY_PACKAGES.get(mecab_dic_type)
    if package is None:
        return dictionary_in(Path(mecab_dic_type))
    try:
        directory = Path(importlib.import_module(mecab_dic_type).DICDIR)
    except (ModuleNotFoundError, AttributeError):  # the second: a folder of this name, which Python takes for a package
        raise ImportError(
            f"the dictionary {mecab_dic_type} is not installed. Install it with: pip install {package}"
        ) from None
    if mecab_dic_type == "unidic" and not (directory / "sys.dic").is_file():
        raise FileNotFoundError(f"{directory}: no dictionary. Download it (500 MB): python -m unidic download")
    return _describe_dictionary(mecab_dic_type, directory, metadata.version(package))


def dictionary_in(directory: Path) -> Dictionary:
    """Return the dictionary in a directory, also if the directory has the name of a package."""
    return _describe_dictionary(directory.name, directory, "")


def parse_mecab_option(mecab_option: str) -> tuple[argparse.Namespace, str]:
    """Return the paths of the resource file and of the dictionaries, and the other options.

    Only the other options are part of a recipe. A dictionary is known by its content, not by its path.

    >>> parse_mecab_option("-r /etc/mecabrc -d /usr/lib/mecab/dic/neologd -u words.dic -C")
    (Namespace(rcfile='/etc/mecabrc', dicdir='/usr/lib/mecab/dic/neologd', userdic=['words.dic']), '-C')
    """
    parser = argparse.ArgumentParser("--mecab_option", add_help=False, allow_abbrev=False)
    parser.add_argument("-r", "--rcfile")
    parser.add_argument("-d", "--dicdir")
    parser.add_argument("-u", "--userdic", type=lambda names: names.split(","), default=[])
    paths, others = parser.parse_known_args(shlex.split(mecab_option))
    return paths, shlex.join(others)


def dictionary_of_option(mecab_option: str, default: str | None = None) -> Dictionary:
    """Return the dictionary that MeCab options such as `-r mecabrc -d /usr/lib/mecab/dic/ipadic` name by `-d`.

    MeCab takes that one whatever else is named. Without `-d` it is `default`, a package or a directory.
    """
    paths, _ = parse_mecab_option(mecab_option)
    if paths.dicdir:
        return dictionary_in(Path(paths.dicdir))
    if not default:
        raise ValueError(f"--mecab_option {mecab_option!r}: names no dictionary. Add -d DIRECTORY")
    return find_dictionary(default)


def with_user_dictionaries(dictionary: Dictionary, tagger) -> Dictionary:
    """Return a dictionary with the user dictionaries that MeCab loaded, whatever option or file named them."""
    paths = user_dictionary_files(tagger)
    return replace(dictionary, user_sha256=hash_of(paths)) if paths else dictionary


def user_dictionary_files(tagger) -> list[Path]:
    return [Path(info["filename"]) for info in tagger.dictionary_info[1:]]


def make_tagger(dictionary: Dictionary, mecab_option: str = ""):
    """Return a fugashi tagger with `dictionary`. MeCab reads only the dictionary's own configuration.

    Raises:
        ValueError: MeCab cannot open the dictionary.
        FileNotFoundError: the options name a file that is not there.
    """
    import fugashi

    paths, _ = parse_mecab_option(mecab_option)
    for flag, path in (("-r", paths.rcfile), *(("-u", path) for path in paths.userdic)):
        if path and not Path(path).exists():
            raise FileNotFoundError(f"{path}: no such file. {flag} in --mecab_option names it")
    mecabrc = dictionary.directory / "mecabrc"
    resource = mecabrc if mecabrc.is_file() else Path("/dev/null")
    try:
        tagger = fugashi.GenericTagger(f'-r "{resource}" -d "{dictionary.directory}" {mecab_option}'.rstrip())
    except RuntimeError as error:
        if not _fits_into_memory(dictionary.directory):
            raise ValueError(
                f"{dictionary.directory}: does not fit into the address space of this process ({dictionary.size:,} "
                "bytes and more). Raise the limit: ulimit -v unlimited"
            ) from None
        raise ValueError(
            f"{dictionary.directory}: MeCab cannot open this dictionary with these options. Compile it again"
        ) from error
    charset = tagger.dictionary_info[0]["charset"]
    if charset.lower().replace("-", "") != "utf8":
        raise ValueError(f"{dictionary.directory}: its charset is {charset}, expected UTF-8. Compile it as UTF-8")
    return tagger


def _describe_dictionary(name: str, directory: Path, package_version: str) -> Dictionary:
    system = directory / "sys.dic"
    if not system.is_file():
        raise FileNotFoundError(
            f"{directory}: no compiled MeCab dictionary (sys.dic). Expected one of "
            f"{', '.join(DICTIONARY_PACKAGES)} or the directory of a compiled dictionary"
        )
    dictionary = Dictionary(name, directory, package_version, system.stat().st_size)
    return dictionary if package_version else replace(dictionary, sha256=dictionary.content_hash())


def _fits_into_memory(directory: Path) -> bool:
    """Return False if the system refuses to map the compiled files, as MeCab does."""
    try:
        with ExitStack() as stack:
            for path in filter(Path.is_file, (directory / name for name in COMPILED_FILES)):
                file = stack.enter_context(open(path, "rb"))
                stack.enter_context(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ))
    except (OSError, ValueError) as error:  # ValueError: an empty file
        return not (isinstance(error, OSError) and error.errno == errno.ENOMEM)
    return True


def hash_of(paths: Iterable[Path]) -> str:
    """Return one hash of the content of all files that exist."""
    digest = hashlib.sha256()
    for path in paths:
        if path.is_file():
            with open(path, "rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
