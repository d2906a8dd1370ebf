"""MITRE ATT&CK for Enterprise: tactics in their order, and each technique's name and tactics. Facts, in our own table.

Sub-techniques stand where their technique stands. What is not in the table is shown by its id, under "Other".
"""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

TACTICS = {
    "reconnaissance": "Reconnaissance",
    "resource-development": "Resource Development",
    "initial-access": "Initial Access",
    "execution": "Execution",
    "persistence": "Persistence",
    "privilege-escalation": "Privilege Escalation",
    "defense-evasion": "Defense Evasion",
    "credential-access": "Credential Access",
    "discovery": "Discovery",
    "lateral-movement": "Lateral Movement",
    "collection": "Collection",
    "command-and-control": "Command and Control",
    "exfiltration": "Exfiltration",
    "impact": "Impact",
}
OTHER = "Other"

# tactics by their numbers in TACTICS, from 0, in hexadecimal
_TABLE = """
1595 0 Active Scanning
1592 0 Gather Victim Host Information
1589 0 Gather Victim Identity Information
1590 0 Gather Victim Network Information
1591 0 Gather Victim Org Information
1598 0 Phishing for Information
1597 0 Search Closed Sources
1596 0 Search Open Technical Databases
1593 0 Search Open Websites/Domains
1594 0 Search Victim-Owned Websites
1650 1 Acquire Access
1583 1 Acquire Infrastructure
1586 1 Compromise Accounts
1584 1 Compromise Infrastructure
1587 1 Develop Capabilities
1585 1 Establish Accounts
1588 1 Obtain Capabilities
1608 1 Stage Capabilities
1659 2b Content Injection
1189 2 Drive-by Compromise
1190 2 Exploit Public-Facing Application
1133 24 External Remote Services
1200 2 Hardware Additions
1566 2 Phishing
1091 29 Replication Through Removable Media
1195 2 Supply Chain Compromise
1199 2 Trusted Relationship
1078 2456 Valid Accounts
1651 3 Cloud Administration Command
1059 3 Command and Scripting Interpreter
1609 3 Container Administration Command
1610 36 Deploy Container
1203 3 Exploitation for Client Execution
1559 3 Inter-Process Communication
1106 3 Native API
1053 345 Scheduled Task/Job
1648 3 Serverless Execution
1129 3 Shared Modules
1072 39 Software Deployment Tools
1569 3 System Services
1204 3 User Execution
1047 3 Windows Management Instrumentation
1098 45 Account Manipulation
1197 46 BITS Jobs
1547 45 Boot or Logon Autostart Execution
1037 45 Boot or Logon Initialization Scripts
1176 4 Browser Extensions
1554 4 Compromise Host Software Binary
1136 4 Create Account
1543 45 Create or Modify System Process
1546 45 Event Triggered Execution
1574 456 Hijack Execution Flow
1525 4 Implant Internal Image
1556 467 Modify Authentication Process
1112 46 Modify Registry
1137 4 Office Application Startup
1653 4 Power Settings
1542 46 Pre-OS Boot
1505 4 Server Software Component
1205 46b Traffic Signaling
1548 56 Abuse Elevation Control Mechanism
1134 56 Access Token Manipulation
1484 56 Domain or Tenant Policy Modification
1611 5 Escape to Host
1068 5 Exploitation for Privilege Escalation
1055 56 Process Injection
1612 6 Build Image on Host
1622 68 Debugger Evasion
1140 6 Deobfuscate/Decode Files or Information
1006 6 Direct Volume Access
1480 6 Execution Guardrails
1211 6 Exploitation for Defense Evasion
1222 6 File and Directory Permissions Modification
1564 6 Hide Artifacts
1562 6 Impair Defenses
1656 6 Impersonation
1070 6 Indicator Removal
1202 6 Indirect Command Execution
1036 6 Masquerading
1578 6 Modify Cloud Compute Infrastructure
1666 6 Modify Cloud Resource Hierarchy
1601 6 Modify System Image
1599 6 Network Boundary Bridging
1027 6 Obfuscated Files or Information
1647 6 Plist File Modification
1620 6 Reflective Code Loading
1207 6 Rogue Domain Controller
1014 6 Rootkit
1553 6 Subvert Trust Controls
1218 6 System Binary Proxy Execution
1216 6 System Script Proxy Execution
1221 6 Template Injection
1127 6 Trusted Developer Utilities Proxy Execution
1535 6 Unused/Unsupported Cloud Regions
1550 69 Use Alternate Authentication Material
1497 68 Virtualization/Sandbox Evasion
1600 6 Weaken Encryption
1220 6 XSL Script Processing
1557 7a Adversary-in-the-Middle
1110 7 Brute Force
1555 7 Credentials from Password Stores
1212 7 Exploitation for Credential Access
1187 7 Forced Authentication
1606 7 Forge Web Credentials
1056 7a Input Capture
1111 7 Multi-Factor Authentication Interception
1621 7 Multi-Factor Authentication Request Generation
1040 78 Network Sniffing
1003 7 OS Credential Dumping
1528 7 Steal Application Access Token
1649 7 Steal or Forge Authentication Certificates
1558 7 Steal or Forge Kerberos Tickets
1539 7 Steal Web Session Cookie
1552 7 Unsecured Credentials
1087 8 Account Discovery
1010 8 Application Window Discovery
1217 8 Browser Information Discovery
1580 8 Cloud Infrastructure Discovery
1538 8 Cloud Service Dashboard
1526 8 Cloud Service Discovery
1619 8 Cloud Storage Object Discovery
1613 8 Container and Resource Discovery
1652 8 Device Driver Discovery
1482 8 Domain Trust Discovery
1083 8 File and Directory Discovery
1615 8 Group Policy Discovery
1654 8 Log Enumeration
1046 8 Network Service Discovery
1135 8 Network Share Discovery
1201 8 Password Policy Discovery
1120 8 Peripheral Device Discovery
1069 8 Permission Groups Discovery
1057 8 Process Discovery
1012 8 Query Registry
1018 8 Remote System Discovery
1518 8 Software Discovery
1082 8 System Information Discovery
1614 8 System Location Discovery
1016 8 System Network Configuration Discovery
1049 8 System Network Connections Discovery
1033 8 System Owner/User Discovery
1007 8 System Service Discovery
1124 8 System Time Discovery
1210 9 Exploitation of Remote Services
1534 9 Internal Spearphishing
1570 9 Lateral Tool Transfer
1563 9 Remote Service Session Hijacking
1021 9 Remote Services
1080 9 Taint Shared Content
1560 a Archive Collected Data
1123 a Audio Capture
1119 a Automated Collection
1185 a Browser Session Hijacking
1115 a Clipboard Data
1530 a Data from Cloud Storage
1602 a Data from Configuration Repository
1213 a Data from Information Repositories
1005 a Data from Local System
1039 a Data from Network Shared Drive
1025 a Data from Removable Media
1074 a Data Staged
1114 a Email Collection
1113 a Screen Capture
1125 a Video Capture
1071 b Application Layer Protocol
1092 b Communication Through Removable Media
1132 b Data Encoding
1001 b Data Obfuscation
1568 b Dynamic Resolution
1573 b Encrypted Channel
1008 b Fallback Channels
1665 b Hide Infrastructure
1105 b Ingress Tool Transfer
1104 b Multi-Stage Channels
1095 b Non-Application Layer Protocol
1571 b Non-Standard Port
1572 b Protocol Tunneling
1090 b Proxy
1219 b Remote Access Software
1102 b Web Service
1020 c Automated Exfiltration
1030 c Data Transfer Size Limits
1048 c Exfiltration Over Alternative Protocol
1041 c Exfiltration Over C2 Channel
1011 c Exfiltration Over Other Network Medium
1052 c Exfiltration Over Physical Medium
1567 c Exfiltration Over Web Service
1029 c Scheduled Transfer
1537 c Transfer Data to Cloud Account
1531 d Account Access Removal
1485 d Data Destruction
1486 d Data Encrypted for Impact
1565 d Data Manipulation
1491 d Defacement
1561 d Disk Wipe
1499 d Endpoint Denial of Service
1657 d Financial Theft
1495 d Firmware Corruption
1490 d Inhibit System Recovery
1498 d Network Denial of Service
1496 d Resource Hijacking
1489 d Service Stop
1529 d System Shutdown/Reboot
"""
_TECHNIQUE = re.compile(r"(?:attack\.)?(t\d{4})(?:\.(\d{3}))?", re.ASCII | re.IGNORECASE)


class Technique(NamedTuple):
    """A technique, or the technique of a sub-technique."""

    name: str
    tactics: tuple[str, ...]  # by their names for people; (OTHER,) where the table has none


@cache
def techniques() -> dict[str, Technique]:
    """The table: techniques by id, without sub-techniques."""
    titles = list(TACTICS.values())
    rows = (line.split(" ", 2) for line in _TABLE.strip().splitlines())
    return {f"T{n}": Technique(name, tuple(titles[int(digit, 16)] for digit in tactics)) for n, tactics, name in rows}


def technique_id(tag: str) -> str | None:
    """The id that a tag or an id names, in its one spelling; null for what names none.

    >>> technique_id("attack.t1059.001"), technique_id("T1105"), technique_id("attack.execution")
    ('T1059.001', 'T1105', None)
    """
    match = _TECHNIQUE.fullmatch(tag.strip())
    if match is None:
        return None
    return match[1].upper() + (f".{match[2]}" if match[2] else "")


def technique(identifier: str) -> Technique:
    """What is known of a technique's id; of one that is not in the table its id is the name.

    >>> technique("T1059.001")
    Technique(name='Command and Scripting Interpreter', tactics=('Execution',))
    """
    return techniques().get(identifier[:5], Technique(identifier, (OTHER,)))
