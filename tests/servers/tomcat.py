"""Tomcat with a PKCS#12 keystore and its manager's text interface; no other application."""

from collections.abc import Sequence
from pathlib import Path

from .foreground import Foreground, program

KEYSTORE_PASSWORD = "ne'er \\ \"guessed"
MANAGER_PASSWORD = 'of the "manager" \\'
_HOME = Path("/usr/share/tomcat10")
# A small heap and no second compiler: it lives for seconds.
_JAVA = ("-Xmx64m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto")
_SERVER = """\
<Server port="-1">
  <Service name="Catalina">
    <Connector address="127.0.0.1" port="{port}" SSLEnabled="true" scheme="https" secure="true"
               maxThreads="8" minSpareThreads="1">
      <SSLHostConfig>
        <Certificate certificateKeystoreFile="{keystore}" certificateKeystoreType="PKCS12"
                     certificateKeystorePassword="{password}"/>
      </SSLHostConfig>
    </Connector>
    <Connector address="127.0.0.1" port="{plain}" maxThreads="4" minSpareThreads="1"/>
    <Engine name="Catalina" defaultHost="localhost">
      <Realm className="org.apache.catalina.realm.MemoryRealm" pathname="conf/users.xml"/>
      <Host name="localhost" appBase="webapps" unpackWARs="false" autoDeploy="false"/>
    </Engine>
  </Service>
</Server>
"""
# What tomcat10-admin installs for the same servlet, without its pages.
_MANAGER = """\
<web-app xmlns="https://jakarta.ee/xml/ns/jakartaee" version="6.0" metadata-complete="true">
  <servlet>
    <servlet-name>Manager</servlet-name>
    <servlet-class>org.apache.catalina.manager.ManagerServlet</servlet-class>
  </servlet>
  <servlet-mapping><servlet-name>Manager</servlet-name><url-pattern>/text/*</url-pattern></servlet-mapping>
  <security-constraint>
    <web-resource-collection>
      <web-resource-name>text</web-resource-name><url-pattern>/text/*</url-pattern>
    </web-resource-collection>
    <auth-constraint><role-name>manager-script</role-name></auth-constraint>
  </security-constraint>
  <login-config><auth-method>BASIC</auth-method></login-config>
  <security-role><role-name>manager-script</role-name></security-role>
</web-app>
"""


class Tomcat(Foreground):
    """One Tomcat whose keystore must be there, sealed with KEYSTORE_PASSWORD, before it starts."""

    def __init__(self, directory: Path, keystore: Path) -> None:
        """Prepare it."""
        super().__init__(directory, keystore, keystore, ports=2)
        self.keystore = keystore
        self.secret = directory.with_name("manager")
        self.keystore_secret = directory.with_name("keystore")
        for path, text in (
            (self.secret, f"renewer:{MANAGER_PASSWORD}"),
            (self.keystore_secret, KEYSTORE_PASSWORD),
        ):
            path.write_text(text + "\n")
            path.chmod(0o600)
        self.env = {
            "TOMCAT_AUTH_FILE": str(self.secret),
            "TOMCAT_MANAGER": f"http://127.0.0.1:{self.ports[1]}/manager/text",
            "TOMCAT_KEYSTORE": str(keystore),
            "TOMCAT_KEYSTORE_AUTH": str(self.keystore_secret),
        }

    def configure(self) -> None:
        """Write what lies below its base."""
        server = _SERVER.format(
            port=self.port, plain=self.ports[1], keystore=self.keystore, password=_quoted(KEYSTORE_PASSWORD)
        )
        user = f'<user username="renewer" password="{_quoted(MANAGER_PASSWORD)}" roles="manager-script"/>'
        for path, text in {
            "conf/server.xml": server,
            "conf/web.xml": "<web-app/>\n",
            "conf/users.xml": f"<tomcat-users>{user}</tomcat-users>\n",
            "webapps/manager/META-INF/context.xml": '<Context privileged="true"/>\n',
            "webapps/manager/WEB-INF/web.xml": _MANAGER,
            "temp/empty": "",
        }.items():
            place = self.directory / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)

    def command(self) -> Sequence[str | Path]:
        """The JVM itself, without the scripts around it."""
        return [
            program("java", "openjdk-17-jre-headless"),
            *_JAVA,
            *("-cp", f"{_HOME}/bin/bootstrap.jar:{_HOME}/bin/tomcat-juli.jar"),
            *(f"-Dcatalina.home={_HOME}", f"-Dcatalina.base={self.directory}"),
            *(f"-Djava.io.tmpdir={self.directory}/temp", "org.apache.catalina.startup.Bootstrap", "start"),
        ]


def _quoted(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
