# Run the stages that the arguments name, or all of them. Each is a file of this folder.
source recipes/settings.sh
[ $# -gt 0 ] || set -- corpus tokenizers pretraining_data training conversion
for stage; do
    source "recipes/$stage.sh"
done
