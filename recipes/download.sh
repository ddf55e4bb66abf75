#!/usr/bin/env bash
# Download CC-100 (15 GB) and a Wikipedia dump (9 GB) below $WORK. Run it again after a break: it continues.
# No `set -e` here: curl returns an error for a file that is already complete (HTTP error 416).
WORK=${WORK:-.}
DATE=${DATE:-20261101}
LAST=${LAST:-13}                                  # number of the last file of the dump

# --- CC-100
mkdir -p $WORK/cc-100
curl -f -C - -o $WORK/cc-100/ja.txt.xz https://data.statmt.org/cc-100/ja.txt.xz
xz -t $WORK/cc-100/ja.txt.xz && echo "CC-100 is complete." ||
    { echo "CC-100 is not complete. Run this again" >&2; exit 1; }

# --- Wikipedia
URL=https://dumps.wikimedia.org/other/cirrus_search_index/$DATE/index_name%3Djawiki_content
DUMP=$WORK/cirrus_search_index/$DATE/index_name=jawiki_content
NUMBERS=$(seq -f %05g 0 $LAST)
for number in $NUMBERS; do
    curl -f -C - --create-dirs -o $DUMP/jawiki_content-$DATE-$number.json.bz2 $URL/jawiki_content-$DATE-$number.json.bz2
done
bzip2 -t $(printf "$DUMP/jawiki_content-$DATE-%s.json.bz2 " $NUMBERS) && curl -f -o $DUMP/_SUCCESS $URL/_SUCCESS &&
    echo "Wikipedia is complete." ||
    { echo "no complete dump of $DATE. After error 404 export another DATE (docs/corpus.md). Run this again" >&2; exit 1; }
