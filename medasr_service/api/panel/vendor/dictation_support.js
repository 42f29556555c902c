/*!
Made by scripts/vendor.sh: what the panel uses of

dictation_support 1.0.5, Apache-2.0


                                 Apache License
                           Version 2.0, January 2004
                        http://www.apache.org/licenses/

   TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION

   1. Definitions.

      "License" shall mean the terms and conditions for use, reproduction,
      and distribution as defined by Sections 1 through 9 of this document.

      "Licensor" shall mean the copyright owner or entity authorized by
      the copyright owner that is granting the License.

      "Legal Entity" shall mean the union of the acting entity and all
      other entities that control, are controlled by, or are under common
      control with that entity. For the purposes of this definition,
      "control" means (i) the power, direct or indirect, to cause the
      direction or management of such entity, whether by contract or
      otherwise, or (ii) ownership of fifty percent (50%) or more of the
      outstanding shares, or (iii) beneficial ownership of such entity.

      "You" (or "Your") shall mean an individual or Legal Entity
      exercising permissions granted by this License.

      "Source" form shall mean the preferred form for making modifications,
      including but not limited to software source code, documentation
      source, and configuration files.

      "Object" form shall mean any form resulting from mechanical
      transformation or translation of a Source form, including but
      not limited to compiled object code, generated documentation,
      and conversions to other media types.

      "Work" shall mean the work of authorship, whether in Source or
      Object form, made available under the License, as indicated by a
      copyright notice that is included in or attached to the work
      (an example is provided in the Appendix below).

      "Derivative Works" shall mean any work, whether in Source or Object
      form, that is based on (or derived from) the Work and for which the
      editorial revisions, annotations, elaborations, or other modifications
      represent, as a whole, an original work of authorship. For the purposes
      of this License, Derivative Works shall not include works that remain
      separable from, or merely link (or bind by name) to the interfaces of,
      the Work and Derivative Works thereof.

      "Contribution" shall mean any work of authorship, including
      the original version of the Work and any modifications or additions
      to that Work or Derivative Works thereof, that is intentionally
      submitted to Licensor for inclusion in the Work by the copyright owner
      or by an individual or Legal Entity authorized to submit on behalf of
      the copyright owner. For the purposes of this definition, "submitted"
      means any form of electronic, verbal, or written communication sent
      to the Licensor or its representatives, including but not limited to
      communication on electronic mailing lists, source code control systems,
      and issue tracking systems that are managed by, or on behalf of, the
      Licensor for the purpose of discussing and improving the Work, but
      excluding communication that is conspicuously marked or otherwise
      designated in writing by the copyright owner as "Not a Contribution."

      "Contributor" shall mean Licensor and any individual or Legal Entity
      on behalf of whom a Contribution has been received by Licensor and
      subsequently incorporated within the Work.

   2. Grant of Copyright License. Subject to the terms and conditions of
      this License, each Contributor hereby grants to You a perpetual,
      worldwide, non-exclusive, no-charge, royalty-free, irrevocable
      copyright license to reproduce, prepare Derivative Works of,
      publicly display, publicly perform, sublicense, and distribute the
      Work and such Derivative Works in Source or Object form.

   3. Grant of Patent License. Subject to the terms and conditions of
      this License, each Contributor hereby grants to You a perpetual,
      worldwide, non-exclusive, no-charge, royalty-free, irrevocable
      (except as stated in this section) patent license to make, have made,
      use, offer to sell, sell, import, and otherwise transfer the Work,
      where such license applies only to those patent claims licensable
      by such Contributor that are necessarily infringed by their
      Contribution(s) alone or by combination of their Contribution(s)
      with the Work to which such Contribution(s) was submitted. If You
      institute patent litigation against any entity (including a
      cross-claim or counterclaim in a lawsuit) alleging that the Work
      or a Contribution incorporated within the Work constitutes direct
      or contributory patent infringement, then any patent licenses
      granted to You under this License for that Work shall terminate
      as of the date such litigation is filed.

   4. Redistribution. You may reproduce and distribute copies of the
      Work or Derivative Works thereof in any medium, with or without
      modifications, and in Source or Object form, provided that You
      meet the following conditions:

      (a) You must give any other recipients of the Work or
          Derivative Works a copy of this License; and

      (b) You must cause any modified files to carry prominent notices
          stating that You changed the files; and

      (c) You must retain, in the Source form of any Derivative Works
          that You distribute, all copyright, patent, trademark, and
          attribution notices from the Source form of the Work,
          excluding those notices that do not pertain to any part of
          the Derivative Works; and

      (d) If the Work includes a "NOTICE" text file as part of its
          distribution, then any Derivative Works that You distribute must
          include a readable copy of the attribution notices contained
          within such NOTICE file, excluding those notices that do not
          pertain to any part of the Derivative Works, in at least one
          of the following places: within a NOTICE text file distributed
          as part of the Derivative Works; within the Source form or
          documentation, if provided along with the Derivative Works; or,
          within a display generated by the Derivative Works, if and
          wherever such third-party notices normally appear. The contents
          of the NOTICE file are for informational purposes only and
          do not modify the License. You may add Your own attribution
          notices within Derivative Works that You distribute, alongside
          or as an addendum to the NOTICE text from the Work, provided
          that such additional attribution notices cannot be construed
          as modifying the License.

      You may add Your own copyright statement to Your modifications and
      may provide additional or different license terms and conditions
      for use, reproduction, or distribution of Your modifications, or
      for any such Derivative Works as a whole, provided Your use,
      reproduction, and distribution of the Work otherwise complies with
      the conditions stated in this License.

   5. Submission of Contributions. Unless You explicitly state otherwise,
      any Contribution intentionally submitted for inclusion in the Work
      by You to the Licensor shall be under the terms and conditions of
      this License, without any additional terms or conditions.
      Notwithstanding the above, nothing herein shall supersede or modify
      the terms of any separate license agreement you may have executed
      with Licensor regarding such Contributions.

   6. Trademarks. This License does not grant permission to use the trade
      names, trademarks, service marks, or product names of the Licensor,
      except as required for reasonable and customary use in describing the
      origin of the Work and reproducing the content of the NOTICE file.

   7. Disclaimer of Warranty. Unless required by applicable law or
      agreed to in writing, Licensor provides the Work (and each
      Contributor provides its Contributions) on an "AS IS" BASIS,
      WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or
      implied, including, without limitation, any warranties or conditions
      of TITLE, NON-INFRINGEMENT, MERCHANTABILITY, or FITNESS FOR A
      PARTICULAR PURPOSE. You are solely responsible for determining the
      appropriateness of using or redistributing the Work and assume any
      risks associated with Your exercise of permissions under this License.

   8. Limitation of Liability. In no event and under no legal theory,
      whether in tort (including negligence), contract, or otherwise,
      unless required by applicable law (such as deliberate and grossly
      negligent acts) or agreed to in writing, shall any Contributor be
      liable to You for damages, including any direct, indirect, special,
      incidental, or consequential damages of any character arising as a
      result of this License or out of the use or inability to use the
      Work (including but not limited to damages for loss of goodwill,
      work stoppage, computer failure or malfunction, or any and all
      other commercial damages or losses), even if such Contributor
      has been advised of the possibility of such damages.

   9. Accepting Warranty or Additional Liability. While redistributing
      the Work or Derivative Works thereof, You may choose to offer,
      and charge a fee for, acceptance of support, warranty, indemnity,
      or other liability obligations and/or rights consistent with this
      License. However, in accepting such obligations, You may act only
      on Your own behalf and on Your sole responsibility, not on behalf
      of any other Contributor, and only if You agree to indemnify,
      defend, and hold each Contributor harmless for any liability
      incurred by, or claims asserted against, such Contributor by reason
      of your accepting any such warranty or additional liability.

   END OF TERMS AND CONDITIONS

   APPENDIX: How to apply the Apache License to your work.

      To apply the Apache License to your work, attach the following
      boilerplate notice, with the fields enclosed by brackets "[]"
      replaced with your own identifying information. (Don't include
      the brackets!)  The text should be enclosed in the appropriate
      comment syntax for the file format. We also recommend that a
      file or class name and description of purpose be included on the
      same "printed page" as the copyright notice for easier
      identification within third-party archives.

   Copyright [yyyy] [name of copyright owner]

   Licensed under the Apache License, Version 2.0 (the "License");
   you may not use this file except in compliance with the License.
   You may obtain a copy of the License at

       http://www.apache.org/licenses/LICENSE-2.0

   Unless required by applicable law or agreed to in writing, software
   distributed under the License is distributed on an "AS IS" BASIS,
   WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
   See the License for the specific language governing permissions and
   limitations under the License.*/
var W=Object.create;var F=Object.defineProperty;var K=Object.getOwnPropertyDescriptor;var U=Object.getOwnPropertyNames;var b=Object.getPrototypeOf,G=Object.prototype.hasOwnProperty;var j=(T,u)=>()=>{try{return u||T((u={exports:{}}).exports,u),u.exports}catch(p){throw u=0,p}};var V=(T,u,p,h)=>{if(u&&typeof u=="object"||typeof u=="function")for(let E of U(u))!G.call(T,E)&&E!==p&&F(T,E,{get:()=>u[E],enumerable:!(h=K(u,E))||h.enumerable});return T};var z=(T,u,p)=>(p=T!=null?W(b(T)):{},V(u||!T||!T.__esModule?F(p,"default",{value:T,enumerable:!0}):p,T));var A=j((B,m)=>{(function(T,u){typeof B=="object"&&typeof m=="object"?m.exports=u():typeof define=="function"&&define.amd?define("DictationSupport",[],u):typeof B=="object"?B.DictationSupport=u():T.DictationSupport=u()})(self,()=>(()=>{"use strict";var T={156:function(h,E,D){var t=this&&this.__createBinding||(Object.create?function(_,e,s,d){d===void 0&&(d=s);var c=Object.getOwnPropertyDescriptor(e,s);c&&!("get"in c?!e.__esModule:c.writable||c.configurable)||(c={enumerable:!0,get:function(){return e[s]}}),Object.defineProperty(_,d,c)}:function(_,e,s,d){d===void 0&&(d=s),_[d]=e[s]}),R=this&&this.__exportStar||function(_,e){for(var s in _)s==="default"||Object.prototype.hasOwnProperty.call(e,s)||t(e,_,s)};Object.defineProperty(E,"__esModule",{value:!0}),R(D(468),E),R(D(430),E),R(D(433),E),R(D(233),E),R(D(283),E),R(D(781),E)},233:(h,E,D)=>{Object.defineProperty(E,"__esModule",{value:!0}),E.PowerMic3Device=E.LedStatePM3=void 0;let t=D(468);var R;(function(s){s[s.OFF=0]="OFF",s[s.RED=1]="RED",s[s.GREEN=2]="GREEN"})(R||(E.LedStatePM3=R={}));let _=new Map([[t.ButtonEvent.TRANSCRIBE,1],[t.ButtonEvent.TAB_BACKWARD,2],[t.ButtonEvent.RECORD,4],[t.ButtonEvent.TAB_FORWARD,8],[t.ButtonEvent.REWIND,16],[t.ButtonEvent.FORWARD,32],[t.ButtonEvent.PLAY,64],[t.ButtonEvent.CUSTOM_LEFT,128],[t.ButtonEvent.ENTER_SELECT,256],[t.ButtonEvent.CUSTOM_RIGHT,512]]);class e extends t.DictationDeviceBase{constructor(){super(...arguments),this.implType=t.ImplementationType.POWERMIC_3}static create(d){return new e(d)}getDeviceType(){return t.DeviceType.POWERMIC_3}async setLed(d){let c=new Uint8Array([d]);await this.hidDevice.sendReport(0,c)}getButtonMappings(){return _}getInputBitmask(d){return d.getUint16(1,!0)}getThisAsDictationDevice(){return this}}E.PowerMic3Device=e},283:(h,E,D)=>{Object.defineProperty(E,"__esModule",{value:!0}),E.SpeechMikeGamepadDevice=void 0;let t=D(468),R=new Map([[t.ButtonEvent.REWIND,1],[t.ButtonEvent.PLAY,2],[t.ButtonEvent.FORWARD,4],[t.ButtonEvent.INS_OVR,16],[t.ButtonEvent.RECORD,32],[t.ButtonEvent.COMMAND,64],[t.ButtonEvent.INSTR,512],[t.ButtonEvent.F1_A,1024],[t.ButtonEvent.F2_B,2048],[t.ButtonEvent.F3_C,4096],[t.ButtonEvent.F4_D,8192],[t.ButtonEvent.EOL_PRIO,16384]]),_=new Map([[t.ButtonEvent.TAB_BACKWARD,1],[t.ButtonEvent.PLAY,2],[t.ButtonEvent.TAB_FORWARD,4],[t.ButtonEvent.FORWARD,16],[t.ButtonEvent.RECORD,32],[t.ButtonEvent.COMMAND,64],[t.ButtonEvent.ENTER_SELECT,512],[t.ButtonEvent.F1_A,1024],[t.ButtonEvent.F2_B,2048],[t.ButtonEvent.F3_C,4096],[t.ButtonEvent.F4_D,8192],[t.ButtonEvent.REWIND,16384]]);class e extends t.DictationDeviceBase{constructor(){super(...arguments),this.implType=t.ImplementationType.SPEECHMIKE_GAMEPAD}static create(d){return new e(d)}getDeviceType(){return t.DeviceType.UNKNOWN}getButtonMappings(){return this.hidDevice.vendorId===1364&&this.hidDevice.productId===100?_:R}getInputBitmask(d){return d.getUint16(0,!0)}getThisAsDictationDevice(){return this}}E.SpeechMikeGamepadDevice=e},430:(h,E,D)=>{Object.defineProperty(E,"__esModule",{value:!0}),E.DictationDeviceManager=void 0;let t=D(468),R=D(433),_=D(233),e=D(283),s=D(781),d=Object.freeze({[t.ImplementationType.SPEECHMIKE_HID]:Object.freeze([Object.freeze({vendorId:2321,productId:3100,usagePage:65440,usage:1}),Object.freeze({vendorId:2321,productId:3101,usagePage:65440,usage:1}),Object.freeze({vendorId:2321,productId:3102,usagePage:65440,usage:1}),Object.freeze({vendorId:2321,productId:4e3,usagePage:65440,usage:1}),Object.freeze({vendorId:1364,productId:100,usagePage:65440,usage:1})]),[t.ImplementationType.SPEECHMIKE_GAMEPAD]:Object.freeze([Object.freeze({vendorId:2321,productId:4e3,usagePage:1,usage:4}),Object.freeze({vendorId:2321,productId:3102,usagePage:1,usage:4}),Object.freeze({vendorId:1364,productId:100,usagePage:1,usage:4})]),[t.ImplementationType.FOOT_CONTROL]:Object.freeze([Object.freeze({vendorId:2321,productId:6212,usagePage:1,usage:4}),Object.freeze({vendorId:2321,productId:2330,usagePage:1,usage:4})]),[t.ImplementationType.POWERMIC_3]:Object.freeze([Object.freeze({vendorId:1364,productId:4097,usagePage:1,usage:0})])});function c(){let o=[];for(let a of Object.values(t.ImplementationType)){if(typeof a=="string")continue;let O=d[a];o.push(...O)}return o}function C(o,a){return a.some(O=>(function(r,S){return!(S.vendorId!==void 0&&r.vendorId!==S.vendorId||S.productId!==void 0&&r.productId!==S.productId||S.usagePage!==void 0&&(r.collections===void 0||r.collections.every(P=>P.usagePage!==S.usagePage))||S.usage!==void 0&&(r.collections===void 0||r.collections.every(P=>P.usage!==S.usage)))})(o,O))}E.DictationDeviceManager=class{constructor(o=navigator.hid){if(this.hidApi=o,this.buttonEventListeners=new Set,this.deviceConnectEventListeners=new Set,this.deviceDisconnectEventListeners=new Set,this.motionEventListeners=new Set,this.devices=new Map,this.pendingProxyDevices=new Map,this.onConnectHandler=a=>this.onHidDeviceConnected(a),this.onDisconectHandler=a=>this.onHidDeviceDisconnected(a),this.isInitialized=!1,this.hidApi===void 0)throw new Error("WebHID is not available")}getDevices(){return this.failIfNotInitialized(),[...this.devices.values()]}async init(){if(this.isInitialized)throw new Error("DictationDeviceManager already initialized");this.hidApi.addEventListener("connect",this.onConnectHandler),this.hidApi.addEventListener("disconnect",this.onDisconectHandler);let o=await this.hidApi.getDevices();await this.createAndAddInitializedDevices(o),this.isInitialized=!0}async shutdown(){this.failIfNotInitialized(),this.hidApi.removeEventListener("connect",this.onConnectHandler),this.hidApi.removeEventListener("disconnect",this.onDisconectHandler),await Promise.all([[...this.devices.values()].map(o=>o.shutdown(!0))]),this.devices.clear(),this.isInitialized=!1}async requestDevice(){this.failIfNotInitialized();let o=await this.hidApi.requestDevice({filters:c()});return await this.createAndAddInitializedDevices(o)}addButtonEventListener(o){this.buttonEventListeners.add(o)}addDeviceConnectedEventListener(o){this.deviceConnectEventListeners.add(o)}addDeviceDisconnectedEventListener(o){this.deviceDisconnectEventListeners.add(o)}addMotionEventListener(o){this.motionEventListeners.add(o)}failIfNotInitialized(){if(!this.isInitialized)throw new Error("DictationDeviceManager not yet initialized")}async createAndAddInitializedDevices(o){let a=await Promise.all(o.map(r=>this.createDevice(r))),O=[];for(let r of a)if(r!==void 0){try{await r.init()}catch(S){await r.shutdown(),console.error("failed to initialize device",S);continue}r.implType!==t.ImplementationType.SPEECHMIKE_GAMEPAD?(this.addListeners(r),this.devices.set(r.hidDevice,r),O.push(r)):this.pendingProxyDevices.set(r.hidDevice,r)}return this.assignPendingProxyDevices(),O}async createDevice(o){if(this.devices.has(o))return;let a=(function(O){for(let r of Object.values(t.ImplementationType))if(typeof r!="string"&&C(O,d[r]))return r})(o);if(a!==void 0)switch(a){case t.ImplementationType.SPEECHMIKE_HID:return s.SpeechMikeHidDevice.create(o);case t.ImplementationType.POWERMIC_3:return _.PowerMic3Device.create(o);case t.ImplementationType.SPEECHMIKE_GAMEPAD:return e.SpeechMikeGamepadDevice.create(o);case t.ImplementationType.FOOT_CONTROL:return R.FootControlDevice.create(o);default:(function(O){throw new Error(`Unexpected input: ${O}`)})(a)}}assignPendingProxyDevices(){for(let[o,a]of this.pendingProxyDevices)for(let O of this.devices.values()){if(O.implType!==t.ImplementationType.SPEECHMIKE_HID)continue;let r=O.hidDevice;if(o.vendorId===r.vendorId&&o.productId===r.productId){O.assignProxyDevice(a),this.pendingProxyDevices.delete(o);break}}}addListeners(o){for(let a of this.buttonEventListeners)o.addButtonEventListener(a);if(o.implType===t.ImplementationType.SPEECHMIKE_HID)for(let a of this.motionEventListeners)o.addMotionEventListener(a)}async onHidDeviceConnected(o){let a=o.device,O=(await this.createAndAddInitializedDevices([a]))[0];O!==void 0&&await Promise.all([...this.deviceConnectEventListeners].map(r=>r(O)))}async onHidDeviceDisconnected(o){let a=o.device;this.pendingProxyDevices.delete(a);let O=this.devices.get(a);O!==void 0&&(await O.shutdown(!1),await Promise.all([...this.deviceDisconnectEventListeners].map(r=>r(O))),this.devices.delete(a))}}},433:(h,E,D)=>{Object.defineProperty(E,"__esModule",{value:!0}),E.FootControlDevice=void 0;let t=D(468),R=new Map([[t.ButtonEvent.REWIND,1],[t.ButtonEvent.PLAY,2],[t.ButtonEvent.FORWARD,4],[t.ButtonEvent.EOL_PRIO,8]]);class _ extends t.DictationDeviceBase{constructor(){super(...arguments),this.implType=t.ImplementationType.FOOT_CONTROL}static create(s){return new _(s)}getDeviceType(){return this.hidDevice.vendorId===2321?this.hidDevice.productId===6212?t.DeviceType.FOOT_CONTROL_ACC_2310_2320:this.hidDevice.productId===2330?t.DeviceType.FOOT_CONTROL_ACC_2330:t.DeviceType.UNKNOWN:t.DeviceType.UNKNOWN}getButtonMappings(){return R}getInputBitmask(s){return s.getUint8(0)}getThisAsDictationDevice(){return this}}E.FootControlDevice=_},468:(h,E)=>{var D,t,R;Object.defineProperty(E,"__esModule",{value:!0}),E.DictationDeviceBase=E.ButtonEvent=E.DeviceType=E.ImplementationType=void 0,(function(e){e[e.SPEECHMIKE_HID=0]="SPEECHMIKE_HID",e[e.SPEECHMIKE_GAMEPAD=1]="SPEECHMIKE_GAMEPAD",e[e.FOOT_CONTROL=2]="FOOT_CONTROL",e[e.POWERMIC_3=3]="POWERMIC_3"})(D||(E.ImplementationType=D={})),(function(e){e[e.UNKNOWN=0]="UNKNOWN",e[e.FOOT_CONTROL_ACC_2310_2320=6212]="FOOT_CONTROL_ACC_2310_2320",e[e.FOOT_CONTROL_ACC_2330=2330]="FOOT_CONTROL_ACC_2330",e[e.SPEECHMIKE_LFH_3200=3200]="SPEECHMIKE_LFH_3200",e[e.SPEECHMIKE_LFH_3210=3210]="SPEECHMIKE_LFH_3210",e[e.SPEECHMIKE_LFH_3220=3220]="SPEECHMIKE_LFH_3220",e[e.SPEECHMIKE_LFH_3300=3300]="SPEECHMIKE_LFH_3300",e[e.SPEECHMIKE_LFH_3310=3310]="SPEECHMIKE_LFH_3310",e[e.SPEECHMIKE_LFH_3500=3500]="SPEECHMIKE_LFH_3500",e[e.SPEECHMIKE_LFH_3510=3510]="SPEECHMIKE_LFH_3510",e[e.SPEECHMIKE_LFH_3520=3520]="SPEECHMIKE_LFH_3520",e[e.SPEECHMIKE_LFH_3600=3600]="SPEECHMIKE_LFH_3600",e[e.SPEECHMIKE_LFH_3610=3610]="SPEECHMIKE_LFH_3610",e[e.SPEECHMIKE_SMP_3700=3700]="SPEECHMIKE_SMP_3700",e[e.SPEECHMIKE_SMP_3710=3710]="SPEECHMIKE_SMP_3710",e[e.SPEECHMIKE_SMP_3720=3720]="SPEECHMIKE_SMP_3720",e[e.SPEECHMIKE_SMP_3800=3800]="SPEECHMIKE_SMP_3800",e[e.SPEECHMIKE_SMP_3810=3810]="SPEECHMIKE_SMP_3810",e[e.SPEECHMIKE_SMP_4000=4e3]="SPEECHMIKE_SMP_4000",e[e.SPEECHMIKE_SMP_4010=4010]="SPEECHMIKE_SMP_4010",e[e.SPEECHONE_PSM_6000=6001]="SPEECHONE_PSM_6000",e[e.POWERMIC_3=4097]="POWERMIC_3",e[e.POWERMIC_4=100]="POWERMIC_4",e[e.SPEECHMIKE_AMBIENT_PSM5000=5e3]="SPEECHMIKE_AMBIENT_PSM5000"})(t||(E.DeviceType=t={})),(function(e){e[e.NONE=0]="NONE",e[e.REWIND=1]="REWIND",e[e.PLAY=2]="PLAY",e[e.FORWARD=4]="FORWARD",e[e.INS_OVR=16]="INS_OVR",e[e.RECORD=32]="RECORD",e[e.COMMAND=64]="COMMAND",e[e.STOP=256]="STOP",e[e.INSTR=512]="INSTR",e[e.F1_A=1024]="F1_A",e[e.F2_B=2048]="F2_B",e[e.F3_C=4096]="F3_C",e[e.F4_D=8192]="F4_D",e[e.EOL_PRIO=16384]="EOL_PRIO",e[e.TRANSCRIBE=32768]="TRANSCRIBE",e[e.TAB_BACKWARD=65536]="TAB_BACKWARD",e[e.TAB_FORWARD=131072]="TAB_FORWARD",e[e.CUSTOM_LEFT=262144]="CUSTOM_LEFT",e[e.CUSTOM_RIGHT=524288]="CUSTOM_RIGHT",e[e.ENTER_SELECT=1048576]="ENTER_SELECT",e[e.SCAN_END=2097152]="SCAN_END",e[e.SCAN_SUCCESS=4194304]="SCAN_SUCCESS"})(R||(E.ButtonEvent=R={}));class _{constructor(s){this.hidDevice=s,this.id=_.next_id++,this.buttonEventListeners=new Set,this.lastBitMask=0,this.onInputReportHandler=d=>this.onInputReport(d)}async init(){this.hidDevice.addEventListener("inputreport",this.onInputReportHandler),this.hidDevice.opened===!1&&await this.hidDevice.open()}async shutdown(s=!0){this.hidDevice.removeEventListener("inputreport",this.onInputReportHandler),s&&await this.hidDevice.close(),this.buttonEventListeners.clear()}addButtonEventListener(s){this.buttonEventListeners.add(s)}async onInputReport(s){let d=s.data;await this.handleButtonPress(d)}async handleButtonPress(s){let d=this.getButtonMappings(),c=this.getInputBitmask(s),C=0;for(let[o,a]of d)c&a&&(C|=o);C!==this.lastBitMask&&(this.lastBitMask=C,C=this.filterOutputBitMask(C),await Promise.all([...this.buttonEventListeners].map(o=>o(this.getThisAsDictationDevice(),C))))}filterOutputBitMask(s){return s}}E.DictationDeviceBase=_,_.next_id=0},781:(h,E,D)=>{Object.defineProperty(E,"__esModule",{value:!0}),E.SpeechMikeHidDevice=E.MotionEvent=E.LedMode=E.LedIndex=E.SimpleLedState=E.EventMode=void 0;let t=D(468);var R,_,e,s,d,c;(function(i){i[i.HID=0]="HID",i[i.KEYBOARD=1]="KEYBOARD",i[i.BROWSER=2]="BROWSER",i[i.WINDOWS_SR=3]="WINDOWS_SR",i[i.DRAGON_FOR_MAC=4]="DRAGON_FOR_MAC",i[i.DRAGON_FOR_WINDOWS=5]="DRAGON_FOR_WINDOWS"})(R||(E.EventMode=R={})),(function(i){i[i.OFF=0]="OFF",i[i.RECORD_INSERT=1]="RECORD_INSERT",i[i.RECORD_OVERWRITE=2]="RECORD_OVERWRITE",i[i.RECORD_STANDBY_INSERT=3]="RECORD_STANDBY_INSERT",i[i.RECORD_STANDBY_OVERWRITE=4]="RECORD_STANDBY_OVERWRITE"})(_||(E.SimpleLedState=_={})),(function(i){i[i.RECORD_LED_GREEN=0]="RECORD_LED_GREEN",i[i.RECORD_LED_RED=1]="RECORD_LED_RED",i[i.INSTRUCTION_LED_GREEN=2]="INSTRUCTION_LED_GREEN",i[i.INSTRUCTION_LED_RED=3]="INSTRUCTION_LED_RED",i[i.INS_OWR_BUTTON_LED_GREEN=4]="INS_OWR_BUTTON_LED_GREEN",i[i.INS_OWR_BUTTON_LED_RED=5]="INS_OWR_BUTTON_LED_RED",i[i.F1_BUTTON_LED=6]="F1_BUTTON_LED",i[i.F2_BUTTON_LED=7]="F2_BUTTON_LED",i[i.F3_BUTTON_LED=8]="F3_BUTTON_LED",i[i.F4_BUTTON_LED=9]="F4_BUTTON_LED"})(e||(E.LedIndex=e={})),(function(i){i[i.OFF=0]="OFF",i[i.BLINK_SLOW=1]="BLINK_SLOW",i[i.BLINK_FAST=2]="BLINK_FAST",i[i.ON=3]="ON"})(s||(E.LedMode=s={})),(function(i){i[i.PICKED_UP=0]="PICKED_UP",i[i.LAYED_DOWN=1]="LAYED_DOWN"})(d||(E.MotionEvent=d={})),(function(i){i[i.SET_LED=2]="SET_LED",i[i.SET_EVENT_MODE=13]="SET_EVENT_MODE",i[i.BUTTON_PRESS_EVENT=128]="BUTTON_PRESS_EVENT",i[i.IS_SPEECHMIKE_PREMIUM=131]="IS_SPEECHMIKE_PREMIUM",i[i.GET_DEVICE_CODE_SM3=135]="GET_DEVICE_CODE_SM3",i[i.GET_DEVICE_CODE_SMP=139]="GET_DEVICE_CODE_SMP",i[i.GET_DEVICE_CODE_SO=150]="GET_DEVICE_CODE_SO",i[i.GET_EVENT_MODE=141]="GET_EVENT_MODE",i[i.WIRELESS_STATUS_EVENT=148]="WIRELESS_STATUS_EVENT",i[i.MOTION_EVENT=158]="MOTION_EVENT",i[i.GET_FIRMWARE_VERSION=145]="GET_FIRMWARE_VERSION"})(c||(c={}));let C=new Map([[t.ButtonEvent.REWIND,4096],[t.ButtonEvent.PLAY,1024],[t.ButtonEvent.FORWARD,2048],[t.ButtonEvent.INS_OVR,16384],[t.ButtonEvent.RECORD,256],[t.ButtonEvent.COMMAND,32],[t.ButtonEvent.STOP,512],[t.ButtonEvent.INSTR,32768],[t.ButtonEvent.F1_A,2],[t.ButtonEvent.F2_B,4],[t.ButtonEvent.F3_C,8],[t.ButtonEvent.F4_D,16],[t.ButtonEvent.EOL_PRIO,8192],[t.ButtonEvent.SCAN_END,1],[t.ButtonEvent.SCAN_SUCCESS,128]]),o=new Map([[t.ButtonEvent.TAB_BACKWARD,4096],[t.ButtonEvent.PLAY,1024],[t.ButtonEvent.TAB_FORWARD,2048],[t.ButtonEvent.FORWARD,16384],[t.ButtonEvent.RECORD,256],[t.ButtonEvent.COMMAND,32],[t.ButtonEvent.ENTER_SELECT,32768],[t.ButtonEvent.F1_A,2],[t.ButtonEvent.F2_B,4],[t.ButtonEvent.F3_C,8],[t.ButtonEvent.F4_D,16],[t.ButtonEvent.REWIND,8192]]),a=Object.freeze({[e.RECORD_LED_GREEN]:s.OFF,[e.RECORD_LED_RED]:s.OFF,[e.INSTRUCTION_LED_GREEN]:s.OFF,[e.INSTRUCTION_LED_RED]:s.OFF,[e.INS_OWR_BUTTON_LED_GREEN]:s.OFF,[e.INS_OWR_BUTTON_LED_RED]:s.OFF,[e.F1_BUTTON_LED]:s.OFF,[e.F2_BUTTON_LED]:s.OFF,[e.F3_BUTTON_LED]:s.OFF,[e.F4_BUTTON_LED]:s.OFF}),O=Object.freeze(Object.assign(Object.assign({},a),{[e.RECORD_LED_GREEN]:s.ON,[e.INS_OWR_BUTTON_LED_GREEN]:s.ON})),r=Object.freeze(Object.assign(Object.assign({},a),{[e.RECORD_LED_RED]:s.ON})),S=Object.freeze(Object.assign(Object.assign({},a),{[e.RECORD_LED_GREEN]:s.BLINK_SLOW,[e.INS_OWR_BUTTON_LED_GREEN]:s.BLINK_SLOW})),P=Object.freeze(Object.assign(Object.assign({},a),{[e.RECORD_LED_RED]:s.BLINK_SLOW})),g=Object.freeze({[_.OFF]:a,[_.RECORD_INSERT]:O,[_.RECORD_OVERWRITE]:r,[_.RECORD_STANDBY_INSERT]:S,[_.RECORD_STANDBY_OVERWRITE]:P}),y=Object.freeze([t.DeviceType.SPEECHMIKE_LFH_3220,t.DeviceType.SPEECHMIKE_LFH_3520,t.DeviceType.SPEECHMIKE_SMP_3720]),H=Object.freeze([t.DeviceType.SPEECHMIKE_LFH_3210,t.DeviceType.SPEECHMIKE_LFH_3310,t.DeviceType.SPEECHMIKE_LFH_3510,t.DeviceType.SPEECHMIKE_LFH_3610,t.DeviceType.SPEECHMIKE_SMP_3710,t.DeviceType.SPEECHMIKE_SMP_3810,t.DeviceType.SPEECHMIKE_SMP_4010]);class L extends t.DictationDeviceBase{constructor(){super(...arguments),this.implType=t.ImplementationType.SPEECHMIKE_HID,this.deviceCode=0,this.ledState=Object.assign({},a),this.sliderBitsFilter=0,this.lastSliderValue=0,this.lastButtonValue=0,this.commandResolvers=new Map,this.commandTimeouts=new Map,this.motionEventListeners=new Set,this.proxyDevice=void 0}static create(n){return new L(n)}async init(){await super.init(),await this.fetchDeviceCode(),this.determineSliderBitsFilter()}async shutdown(){await super.shutdown(),this.proxyDevice!==void 0&&await this.proxyDevice.shutdown()}addMotionEventListener(n){this.motionEventListeners.add(n)}getDeviceCode(){return this.deviceCode}getDeviceType(){return this.hidDevice.vendorId===1364?this.hidDevice.productId===100?t.DeviceType.POWERMIC_4:t.DeviceType.UNKNOWN:this.hidDevice.vendorId===2321?this.deviceCode:t.DeviceType.UNKNOWN}async setSimpleLedState(n){this.ledState=Object.assign({},g[n]),await this.sendLedState()}async setLed(n,v){this.ledState[n]=v,await this.sendLedState()}async sendLedState(){let n=[0,0,0,0,0,0,0,0];n[5]|=this.ledState[e.RECORD_LED_GREEN]|0,n[5]|=this.ledState[e.RECORD_LED_RED]<<2,n[5]|=this.ledState[e.INSTRUCTION_LED_GREEN]<<4,n[5]|=this.ledState[e.INSTRUCTION_LED_RED]<<6,n[6]|=this.ledState[e.INS_OWR_BUTTON_LED_GREEN]<<4,n[6]|=this.ledState[e.INS_OWR_BUTTON_LED_RED]<<6,n[7]|=this.ledState[e.F4_BUTTON_LED]|0,n[7]|=this.ledState[e.F3_BUTTON_LED]<<2,n[7]|=this.ledState[e.F2_BUTTON_LED]<<4,n[7]|=this.ledState[e.F1_BUTTON_LED]<<6,await this.sendCommand(c.SET_LED,n)}assignProxyDevice(n){if(this.proxyDevice!==void 0)throw new Error("Proxy device already assigned. Adding multiple SpeechMikes in Browser/Gamepad mode at the same time is not supported.");this.proxyDevice=n,this.proxyDevice.addButtonEventListener((v,I)=>this.onProxyButtonEvent(I))}async onProxyButtonEvent(n){await Promise.all([...this.buttonEventListeners].map(v=>v(this.getThisAsDictationDevice(),n)))}async handleCommandResponse(n,v){let I=this.commandResolvers.get(n);if(I===void 0)throw new Error(`Unexpected response for command ${n}`);I(v)}async getEventMode(){return(await this.sendCommandAndWaitForResponse(c.GET_EVENT_MODE)).getInt8(8)}async setEventMode(n){let v=[0,0,0,0,0,0,0,n];await this.sendCommand(c.SET_EVENT_MODE,v)}async fetchDeviceCode(){let n=await this.sendCommandAndWaitForResponse(c.IS_SPEECHMIKE_PREMIUM);if(128&n.getUint8(8))if(n=await this.sendCommandAndWaitForResponse(c.GET_DEVICE_CODE_SMP),n.getUint8(1))n=await this.sendCommandAndWaitForResponse(c.GET_DEVICE_CODE_SO),this.deviceCode=n.getUint16(7);else{let v=n.getUint16(2),I=n.getUint16(4),l=n.getUint16(6);if(this.deviceCode=Math.max(l,I,v),[t.DeviceType.SPEECHMIKE_SMP_4000,t.DeviceType.SPEECHMIKE_SMP_4010].includes(this.deviceCode)&&(n=await this.sendCommandAndWaitForResponse(c.GET_FIRMWARE_VERSION),n.getUint8(5)===6)){n=await this.sendCommandAndWaitForResponse(c.GET_DEVICE_CODE_SO);let N=n.getUint16(5);N!==0&&(this.deviceCode=N)}}else n=await this.sendCommandAndWaitForResponse(c.GET_DEVICE_CODE_SM3),this.deviceCode=n.getUint16(7)}determineSliderBitsFilter(){y.includes(this.deviceCode)?this.sliderBitsFilter=t.ButtonEvent.FORWARD+t.ButtonEvent.STOP+t.ButtonEvent.PLAY+t.ButtonEvent.REWIND:H.includes(this.deviceCode)&&(this.sliderBitsFilter=t.ButtonEvent.RECORD+t.ButtonEvent.STOP+t.ButtonEvent.PLAY+t.ButtonEvent.REWIND)}async onInputReport(n){let v=n.data,I=v.getUint8(0);if(I===c.BUTTON_PRESS_EVENT)await this.handleButtonPress(v);else if(I===c.MOTION_EVENT)await this.handleMotionEvent(v);else if(I!==c.WIRELESS_STATUS_EVENT){if(this.commandResolvers.get(I)===void 0)throw new Error(`Unhandled input report from command ${I}`);await this.handleCommandResponse(I,v)}}getButtonMappings(){return this.hidDevice.vendorId===1364&&this.hidDevice.productId===100?o:C}getInputBitmask(n){return n.getUint16(7,!0)}getThisAsDictationDevice(){return this}async handleMotionEvent(n){let v=n.getUint8(8)===1?d.LAYED_DOWN:d.PICKED_UP;await Promise.all([...this.motionEventListeners].map(I=>I(this.getThisAsDictationDevice(),v)))}async sendCommand(n,v){let I=v===void 0?new Uint8Array([n]):new Uint8Array([n,...v]);await this.hidDevice.sendReport(0,I)}async sendCommandAndWaitForResponse(n,v){if(this.commandResolvers.has(n)||this.commandTimeouts.has(n))throw new Error(`Command ${n} is already running`);let I=new Promise(M=>{this.commandResolvers.set(n,M),this.sendCommand(n,v)}),l=new Promise(M=>{let w=window.setTimeout(()=>{M(void 0)},5e3);this.commandTimeouts.set(n,w)}),N=await Promise.race([I,l]);if(this.commandResolvers.delete(n),this.commandTimeouts.delete(n),N===void 0)throw new Error(`Command ${n} timed out after 5000ms`);return N}filterOutputBitMask(n){if(!this.sliderBitsFilter)return n;let v=~this.sliderBitsFilter,I=n&this.sliderBitsFilter,l=n&v,N=I!==this.lastSliderValue,M=l!==this.lastButtonValue;return this.lastSliderValue=I,this.lastButtonValue=l,N&&M?n&v:N?n&this.sliderBitsFilter:M?n&v:n}}E.SpeechMikeHidDevice=L}},u={},p=(function h(E){var D=u[E];if(D!==void 0)return D.exports;var t=u[E]={exports:{}};return T[E].call(t.exports,t,t.exports,h),t.exports})(156);return p})())});var f=z(A(),1);var export_ButtonEvent=f.ButtonEvent;var export_DictationDeviceManager=f.DictationDeviceManager;export{export_ButtonEvent as ButtonEvent,export_DictationDeviceManager as DictationDeviceManager};
