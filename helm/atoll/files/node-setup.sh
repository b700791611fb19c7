# Tells this node where the registry is and whose certificate it has: nodes do not resolve the names of
# Services. Writes a line for each of $NAMES into the node's hosts file, marked with $MARK, and a
# directory for $REGISTRY where its containerd looks ($CERTS on the node). Does nothing where all is there.
{
  # the whole end of a line: another release's mark may begin with ours
  awk '{ end = " # " ENVIRON["MARK"]; if (substr($0, length($0) - length(end) + 1) != end) print }' /node/hosts
  for name in $NAMES; do
    address=$(getent hosts "$name" | { read -r first _ && echo "$first"; } || true)
    if [ -z "$address" ]; then
      echo "$name has no address yet; trying again." >&2
      exit 1
    fi
    echo "$address $name # $MARK"
  done
} >/tmp/hosts
# in its place: it is a mount of the one file
cmp -s /tmp/hosts /node/hosts || cat /tmp/hosts >/node/hosts
folder=/node/certs.d/$REGISTRY
mkdir -p "$folder"
cp /trust/ca.crt "$folder/ca.crt"
cat >"$folder/hosts.toml" <<CONF
# $MARK
server = "https://$REGISTRY"
[host."https://$REGISTRY"]
  capabilities = ["pull", "resolve"]
  ca = "$CERTS/$REGISTRY/ca.crt"
CONF
echo "This node knows the registry $REGISTRY."
