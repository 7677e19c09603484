"""Every code a problem can have, with its severity and its sentence.

``IST…`` codes are those of ``istioctl analyze``; ``SBX…`` are ours:
00 the text, 01 the objects, 02 what is not emulated, 03 rules of the API server's schema,
05 what istiod drops in silence, 06 capture.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

Severity = Literal["error", "warning", "info"]


class Code(NamedTuple):
    """Severity unless the finder says otherwise, and what the code means in general."""

    severity: Severity
    sentence: str


CODES: Final[Mapping[str, Code]] = {
    "SBX0001": Code("error", "the file is not UTF-8 text"),
    "SBX0002": Code("error", "the text is not YAML"),
    "SBX0003": Code("error", "a tab indents a line"),
    "SBX0004": Code("error", "a key stands twice in one mapping"),
    "SBX0005": Code("error", "an alias stands for nothing, for itself, or for too much"),
    "SBX0006": Code("error", "collections are nested too deep"),
    "SBX0007": Code("error", "the document is too long"),
    "SBX0008": Code("error", "a tag has no meaning here"),
    "SBX0009": Code("error", "a key is not text"),
    "SBX0010": Code("error", "the file is a template that was not rendered"),
    "SBX0011": Code("error", "a character is not allowed in YAML"),
    "SBX0101": Code("error", "the field is not known"),
    "SBX0102": Code("error", "the value has the wrong type"),
    "SBX0103": Code("error", "the word is none of those the field takes"),
    "SBX0104": Code("error", "the number is out of the range of its type"),
    "SBX0105": Code("error", "the text is no duration"),
    "SBX0106": Code("error", "the document is no object"),
    "SBX0107": Code("error", "the object has no kind or no apiVersion"),
    "SBX0108": Code("error", "the object has no name"),
    "SBX0109": Code("warning", "the same object is written twice"),
    "SBX0110": Code("error", "the kind is not served under this apiVersion"),
    "SBX0111": Code("error", "the text is not base64"),
    "SBX0112": Code("error", "the text is no point in time"),
    "SBX0201": Code("warning", "the field is not emulated"),
    "SBX0202": Code("warning", "the kind is not emulated"),
    "SBX0203": Code("info", "kinds that do not matter here were skipped"),
    "SBX0204": Code("warning", "the mesh configuration is written more than once"),
    "SBX0205": Code("info", "the field has nothing to act on here"),
    "SBX0301": Code("error", "a rule of the API server's schema is broken"),
    "SBX0415": Code("warning", "a selector selects no workload of the files"),
    "SBX0501": Code("warning", "a filter chain is shadowed by an older one of the same listener"),
    "SBX0302": Code("error", "the API server takes no such name or label"),
    "SBX0401": Code("warning", "a service has no endpoints on a port, so there is no cluster"),
    "SBX0402": Code("warning", "failover priorities meet endpoints in several localities, which crashes istiod"),
    "SBX0403": Code("warning", "outlier detection meets DYNAMIC_DNS, which crashes istiod"),
    "SBX0404": Code("warning", "an older object has the host, too, so ports of this one get no clusters"),
    "SBX0405": Code("warning", "a setting of istiod is not emulated"),
    "SBX0406": Code("info", "a setting of istiod has no effect here"),
    "SBX0407": Code("warning", "no selector of the mesh's discoverySelectors picks the namespace of an object"),
    "SBX0408": Code("info", "a Service has no endpoints, though its pods are described or a route leads to it"),
    "SBX0409": Code("warning", "a ServiceEntry has no ports"),
    "SBX0410": Code("warning", "settings of a DestinationRule are for a port that its host does not have"),
    "SBX0411": Code("warning", "a sidecar cannot use a credential, and begins no TLS"),
    "SBX0412": Code("warning", "mutual TLS has no client certificate, and plain text is sent"),
    "SBX0413": Code("warning", "an older DestinationRule has a subset of the same name"),
    "SBX0414": Code("warning", "an older DestinationRule has a traffic policy for the same host"),
    "SBX0502": Code("warning", "a port has no listener because the proxy itself uses it"),
    "SBX0503": Code("warning", "a server-first protocol cannot share its listener"),
    "SBX0504": Code("warning", "an unprivileged proxy cannot bind the port"),
    "SBX0511": Code("warning", "a delegate VirtualService does not exist"),
    "SBX0512": Code("warning", "a delegate VirtualService is not exported to its root"),
    "SBX0513": Code("warning", "a rule of a delegate contradicts its root"),
    "SBX0521": Code("warning", "a rule of the VirtualService is never reached"),
    "SBX0522": Code("warning", "another virtual host has the domain already"),
    "SBX0523": Code("error", "a redirect has a status code that Envoy does not know"),
    "SBX0524": Code("warning", "a route's destination is no known service"),
    "SBX0525": Code("warning", "a route's subset is declared by no DestinationRule"),
    "SBX0526": Code("warning", "a fault is of a kind that Istio does not implement"),
    "SBX0527": Code("warning", "no port of the host speaks what rules of a VirtualService are for"),
    "SBX0531": Code("warning", "a telemetry provider does not exist or cannot be used"),
    "SBX0532": Code("warning", "the access log format is not JSON"),
    "SBX0533": Code("warning", "an override of a metric has no effect"),
    "SBX0546": Code("warning", "a patch of an EnvoyFilter fits nothing of a gateway"),
    "SBX0547": Code("warning", "a gateway's server has no http rule, so that it answers 404"),
    "SBX0551": Code("error", "Envoy refuses the format or the filter of an access log"),
    "SBX0552": Code("error", "RE2 refuses a regular expression"),
    "SBX0553": Code("warning", "Envoy refuses a resource that istiod makes of this, and works on without it"),
    "SBX0554": Code("error", "Envoy refuses a header's value"),
    "SBX0555": Code("warning", "a Secret that is needed for TLS is not there, or has no certificate"),
    "SBX0556": Code("info", "a file that is needed for TLS is mounted by no pod, and not on this machine"),
    "SBX0557": Code("warning", "an annotation for volumes of the sidecar cannot be read"),
    "SBX0601": Code("error", "a capture setting cannot be read"),
    "SBX0701": Code("info", "a gateway has no pod; one of a default installation stands in"),
    "SBX0703": Code("info", "a service runs where --endpoint says"),
    "SBX0706": Code("warning", "a gateway's route leads to a host that it has no address for"),
    "SBX0705": Code("error", "calls come back to a gateway where they have been"),
    "SBX0704": Code("error", "the option --endpoint names a service that nobody knows"),
    "SBX0702": Code("info", "the files describe workloads, but not the one that was named"),
    "SBX0541": Code("warning", "a gateway's server conflicts with another one and is ignored"),
    "SBX0542": Code("warning", "a gateway's server has no route, so that nothing listens for it"),
    "SBX0543": Code("warning", "a server name is matched already on this port of the gateway"),
    "SBX0544": Code("warning", "the external authorizer of an AuthorizationPolicy is not emulated"),
    "SBX0545": Code("warning", "the keys of a RequestAuthentication are not fetched"),
    "IST0106": Code("error", "istiod refuses the object"),
    "IST0133": Code("warning", "istiod accepts the object with a warning"),
    "IST0130": Code("warning", "a rule of the VirtualService is never reached"),
    "IST0131": Code("warning", "a match of the VirtualService has no effect"),
}
